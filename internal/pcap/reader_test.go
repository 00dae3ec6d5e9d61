package pcap

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// samples are small good files of every format.
func samples(tb testing.TB) map[string][]byte {
	little, big := both[0], both[1]
	return map[string][]byte{
		"pcap":       mustWrite(tb, LinkTypeEthernet, "first", "second", "third"),
		"pcap_big":   slices.Concat(header(big, magicMicroseconds, 2, 4, 96, 1), classicPacket(big, 5, 6, 3, 60, 0, "abc")),
		"modified":   slices.Concat(header(little, magicModified, 2, 4, 96, 1), classicPacket(little, 5, 6, 3, 3, 8, "abc"), classicPacket(little, 5, 7, 2, 2, 8, "de")),
		"pcapng":     slices.Concat(section(little), face(little, 1, 96, option(little, 9, 9)), enhanced(little, 0, 5e9, 60, "abc"), block(little, 10, []byte("secret")), block(little, blockSimplePacket, words(little, 2), []byte("ab"))),
		"pcapng_big": slices.Concat(section(big), face(big, 1, 96), enhanced(big, 0, 5e6, 60, "abc"), section(little), face(little, 101, 0), enhanced(little, 0, 5e6, 60, "abc")),
		"netmon":     netMonFile(0, "first", "second"),
		"netmon_2_3": netMonFile(3, "first", "second"),
		"gzip":       compress(tb, mustWrite(tb, LinkTypeRaw, "first", "second")),
	}
}

// TestPrefixes reads every beginning of a file: it never has more packets
// than the whole, nor others, and it is never taken for damaged.
func TestPrefixes(t *testing.T) {
	for name, file := range samples(t) {
		whole, sum := dump(bytes.NewReader(file))
		if whole[len(whole)-1] != "end" || sum.CutShort {
			t.Fatalf("%s: the whole file reads as %v", name, whole)
		}
		ends := 0
		for n := range len(file) {
			got, sum := dump(bytes.NewReader(file[:n]))
			if got[0] == "unrecognised" {
				if packets(got) != 0 {
					t.Errorf("%s, %d bytes: packets from what is no capture", name, n)
				}
				continue
			}
			last := len(got) - 1
			if got[last] != "end" {
				t.Errorf("%s, %d bytes: %s, want the end", name, n, got[last])
			}
			if !slices.Equal(got[:last], whole[:last]) {
				t.Errorf("%s, %d bytes: %v, which the whole does not start with", name, n, got)
			}
			if !sum.CutShort {
				ends++
			}
		}
		// A cut between two packets cannot be told from the end.
		if ends > len(whole)+4 {
			t.Errorf("%s: %d cuts went unnoticed", name, ends)
		}
	}
}

// TestSlowAndFailingSources reads byte by byte, and from sources that fail.
func TestSlowAndFailingSources(t *testing.T) {
	for name, file := range samples(t) {
		want, _ := dump(bytes.NewReader(file))
		for kind, src := range map[string]io.Reader{"byte_by_byte": iotest.OneByteReader(bytes.NewReader(file)), "data_with_end": iotest.DataErrReader(bytes.NewReader(file))} {
			if got, _ := dump(src); !slices.Equal(got, want) {
				t.Errorf("%s, %s: %v, want %v", name, kind, got, want)
			}
		}
		broken := errors.New("connection lost")
		for n := 0; n < len(file); n += 7 {
			r, err := NewReader(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken)))
			for err == nil {
				_, err = r.Next()
			}
			if !errors.Is(err, broken) {
				t.Errorf("%s: the source fails after %d bytes, and the reader says %v", name, n, err)
			}
		}
		if r, err := NewReader(io.MultiReader(bytes.NewReader(file[:len(file)-1]), iotest.ErrReader(io.ErrUnexpectedEOF))); err == nil {
			for err == nil {
				_, err = r.Next()
			}
			if err == io.EOF {
				t.Errorf("%s: a download that broke off passes for a file that was cut short", name)
			}
		}
	}
}

func TestNoCapture(t *testing.T) {
	tests := []struct {
		name, file, want string
	}{
		{"empty", "", "an empty file"},
		{"zeros", strings.Repeat("\x00", 4096), "zero bytes"},
		{"html", "\r\n<!DOCTYPE html><html>secret</html>", "HTML"},
		{"xml", "\xef\xbb\xbf<?xml version=\"1.0\"?><Error><Code>secret</Code></Error>", "XML"},
		{"json", `{"error":"secret"}`, "JSON"},
		{"script", "#!/bin/sh\nsecret", "script"},
		{"text", "secret text, über alles", "text"},
		{"text_cut_in_a_rune", strings.Repeat("x", sniffLength-1) + "ü", "text"},
		{"zip", "PK\x03\x04secret", "zip"},
		{"elf", "\x7fELFsecret", "ELF"},
		{"windows_program", "MZsecret\x00\x01", "Windows"},
		{"zstd", "\x28\xb5\x2f\xfdsecret", "zstd"},
		{"snoop", "snoop\x00\x00\x00secret", "snoop"},
		{"gzip_of_text", string(compress(t, []byte("secret"))), "text"},
		{"gzip_of_gzip", string(compress(t, compress(t, mustWrite(t, 1, "secret")))), "gzip"},
		{"gzip_of_nothing", string(compress(t, nil)), "empty"},
		{"gzip_damaged", "\x1f\x8bsecret secret secret", "damaged gzip"},
		{"short", "\x01\x02\x03", "too short"},
		{"binary", strings.Repeat("\x01\xfe\x80", 100), "unknown kind"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := NewReader(strings.NewReader(test.file))
			format, ok := errors.AsType[*FormatError](err)
			if !ok {
				t.Fatalf("NewReader: %v, want a FormatError", err)
			}
			if !strings.Contains(format.LooksLike, test.want) {
				t.Errorf("looks like %q, want %q", format.LooksLike, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

func TestNextAllocatesNothing(t *testing.T) {
	o := both[1]
	for name, file := range map[string][]byte{
		"pcap":   mustWrite(t, LinkTypeEthernet, slices.Repeat([]string{"data"}, 2000)...),
		"pcapng": slices.Concat(section(o), face(o, 1, 96), bytes.Repeat(enhanced(o, 0, 5e6, 60, "abc", option(o, 2, 0, 0, 0, 0), option(o, 4, make([]byte, 8)...)), 2000)),
		"netmon": netMonFile(2, slices.Repeat([]string{"data"}, 2000)...),
	} {
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(1000, func() {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a packet, want 0", name, n)
		}
	}
}

func TestLinkTypeString(t *testing.T) {
	var got []string
	for _, link := range []LinkType{LinkTypeEthernet, LinkTypeLinuxSLL2, 147} {
		got = append(got, link.String())
	}
	if diff := cmp.Diff([]string{"ethernet", "linux-sll2", "linktype-147"}, got); diff != "" {
		t.Errorf("names(-want +got):\n%s", diff)
	}
}

func BenchmarkNext(b *testing.B) {
	o := both[0]
	data := strings.Repeat("x", 880)
	for name, file := range map[string][]byte{
		"pcap":   mustWrite(b, LinkTypeEthernet, slices.Repeat([]string{data}, 10_000)...),
		"pcapng": slices.Concat(section(o), face(o, 1, 0), bytes.Repeat(enhanced(o, 0, 5e6, 880, data), 10_000)),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				r, err := NewReader(bytes.NewReader(file))
				for err == nil {
					_, err = r.Next()
				}
			}
		})
	}
}
