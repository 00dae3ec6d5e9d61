package pcap

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestNGWriter(t *testing.T) {
	var file bytes.Buffer
	w, err := NewNGWriter(&file, Section{Comment: "what it is", Hardware: "vm-1", Application: "test"}, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		at      Timestamp
		link    LinkType
		length  int
		data    string
		comment string
	}{
		{1234567890123456789, LinkTypeEthernet, 900, "abcdef", "the first"},
		{0, LinkTypeRaw, 0, "abc", ""},
		{2e9, LinkTypeEthernet, 2, "ab", "\x1b[31m\u202ered\xff\n"},
	} {
		if err := w.WritePacket(p.at, p.link, p.length, []byte(p.data), p.comment); err != nil {
			t.Fatal(err)
		}
	}
	for _, impossible := range []LinkType{LinkTypeNone, 1 << 16} {
		if err := w.WritePacket(1, impossible, 1, nil, ""); err == nil {
			t.Errorf("link type %d is written", impossible)
		}
	}
	if err := w.WritePacket(-1, LinkTypeRaw, 1, nil, ""); err == nil {
		t.Error("a time before 1970 is written")
	}
	if b := file.Bytes(); len(b)%4 != 0 || bytes.ContainsAny(b, "\x1b\n") && bytes.Contains(b, []byte("\x1b[31m")) {
		t.Errorf("%d bytes: %q", len(b), b)
	}
	for _, comment := range []string{"what it is", "vm-1", "test", "the first", "\ufffd[31m\ufffdred\ufffd\ufffd"} {
		if bytes.Count(file.Bytes(), []byte(comment)) != 1 {
			t.Errorf("the file does not say %q once", comment)
		}
	}
	got, sum := dump(&file)
	want := []string{`1 1234567890123456789 ethernet 900 "abcd"`, `2 0 raw 3 "abc"`, `3 2000000000 ethernet 2 "ab"`, "end"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packets(-want +got):\n%s", diff)
	}
	if sum.Format != FormatPcapNG || sum.SnapLength != 4 || sum.Resolution != 1 || len(sum.LinkTypes) != 2 {
		t.Errorf("summary %+v", sum)
	}
}

func TestLongComment(t *testing.T) {
	got := plain(strings.Repeat("ä", 2000))
	if len(got) > maxComment || !utf8.ValidString(got) || !strings.HasSuffix(got, "ä...") {
		t.Errorf("%d bytes: ...%q", len(got), got[len(got)-8:])
	}
}

func TestNGWriterFailure(t *testing.T) {
	if _, err := NewNGWriter(broken{}, Section{}, 0); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("NewNGWriter: %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestMicrosecondWriter(t *testing.T) {
	var file bytes.Buffer
	w, err := NewMicrosecondWriter(&file, LinkTypeRaw, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WritePacket(1234567890123456789, 1, []byte("a")); err != nil {
		t.Fatal(err)
	}
	got, sum := dump(&file)
	if diff := cmp.Diff([]string{`1 1234567890123456000 raw 1 "a"`, "end"}, got); diff != "" || sum.Resolution != 1000 {
		t.Errorf("resolution %v, packets(-want +got):\n%s", sum.Resolution, diff)
	}
}
