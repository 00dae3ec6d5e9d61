package redact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
)

var capture = pcaptest.Capture(`
0.000  10.71.72.73:40001 > 198.51.100.93:443  SYN mss=1460
+0.010 198.51.100.93:443 > 10.71.72.73:40001  SYN-ACK
+0.010 10.71.72.73:40001 > 198.51.100.93:443  ACK
+0.010 10.71.72.73:40001 > 198.51.100.93:443  text "GET /secret-of-contoso"
+0.010 10.71.72.73:5353 > 10.71.72.1:53       query A secret.contoso.example
`)

func TestRecord(t *testing.T) {
	var out bytes.Buffer
	record, err := Run(t.Context(), bytes.NewReader(capture), &out, Options{Key: referenceKey, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	if record.WasDerivedFrom.SHA256 != fmt.Sprintf("%x", sha(capture)) || record.WasDerivedFrom.Bytes != int64(len(capture)) || record.WasDerivedFrom.Packets != 5 {
		t.Errorf("derived from %+v", record.WasDerivedFrom)
	}
	if record.Output.SHA256 != fmt.Sprintf("%x", sha(out.Bytes())) || record.Output.Bytes != int64(out.Len()) || record.Output.Packets != 5 {
		t.Errorf("output %+v", record.Output)
	}
	if record.KeyID != referenceKey.ID() || len(record.Dropped) != 0 || record.Tool.Version != "1.2.3" {
		t.Errorf("record %+v", record)
	}
	text, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{referenceKey.Text(), "contoso", "10.71", "2026-"} {
		if strings.Contains(string(text), bad) {
			t.Errorf("the record holds %q", bad)
		}
	}
	var again bytes.Buffer
	if _, err := Run(t.Context(), bytes.NewReader(capture), &again, Options{Key: referenceKey}); err != nil || !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Errorf("the same key gives another derivative: %v", err)
	}
	again.Reset()
	if _, err := Run(t.Context(), bytes.NewReader(capture), &again, Options{Key: NewKey()}); err != nil || bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Errorf("another key gives the same derivative: %v", err)
	}
}

func sha(b []byte) [32]byte { return sha256.Sum256(b) }

func TestShiftTime(t *testing.T) {
	in := packets(capture)
	for _, test := range []struct {
		shift time.Duration
		drop  int64
	}{
		{0, 0}, {-1000 * time.Hour, 0}, {time.Nanosecond, 0}, {math.MaxInt64, 5}, {math.MinInt64, 5}, {-500000 * time.Hour, 5},
	} {
		var out bytes.Buffer
		record, err := Run(t.Context(), bytes.NewReader(capture), &out, Options{Key: referenceKey, ShiftTime: test.shift})
		if err != nil {
			t.Fatal(err)
		}
		if record.Dropped[TimeRange] != test.drop {
			t.Errorf("shifted by %v: %d packets dropped, want %d", test.shift, record.Dropped[TimeRange], test.drop)
			continue
		}
		for i, rec := range packets(out.Bytes()) {
			if got := rec.Time.Sub(in[i].Time); got != test.shift {
				t.Errorf("shifted by %v: frame %d is off by %v", test.shift, i+1, got)
			}
		}
	}
	if at, ok := shift(0, time.Hour); at != 0 || !ok {
		t.Errorf("a time that is not known becomes %v", at)
	}
}

// The derivative counts time as the source does.
func TestResolution(t *testing.T) {
	for name, create := range map[string]func(io.Writer, pcap.LinkType, int) (*pcap.Writer, error){"ns": pcap.NewWriter, "us": pcap.NewMicrosecondWriter} {
		var in, out bytes.Buffer
		w, err := create(&in, ethernet, 0)
		if err != nil {
			t.Fatal(err)
		}
		data := frameOf(secret, eth(etherIPv4), ip4(6), tcp())
		if err := w.WritePacket(1700000000_123456789, len(data), data); err != nil {
			t.Fatal(err)
		}
		source := bytes.Clone(in.Bytes())
		if _, err := Run(t.Context(), &in, &out, Options{Key: referenceKey}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes()[:4], source[:4]) {
			t.Errorf("%s: the derivative begins with %x, the source with %x", name, out.Bytes()[:4], source[:4])
		}
		if got, want := packets(out.Bytes())[0].Time, packets(source)[0].Time; got != want {
			t.Errorf("%s: at %v, want %v", name, got, want)
		}
	}
}

func TestOddSources(t *testing.T) {
	run := func(source []byte) (*Record, []byte, error) {
		var out bytes.Buffer
		record, err := Run(t.Context(), bytes.NewReader(source), &out, Options{Key: referenceKey})
		return record, out.Bytes(), err
	}
	if _, out, err := run([]byte("<html>")); err == nil || len(out) > 0 {
		t.Errorf("a web page gives %v and %d bytes", err, len(out))
	} else if _, ok := errors.AsType[*pcap.FormatError](err); !ok {
		t.Errorf("error %v is of another kind", err)
	}
	record, out, err := run(capture[:24])
	if err != nil || len(out) != 24 || record.Output.Packets != 0 {
		t.Errorf("no packets give %d bytes, %v", len(out), err)
	}
	record, _, err = run(capture[:len(capture)-3])
	if err != nil || record.Output.Packets != 4 || !record.WasDerivedFrom.CutShort {
		t.Errorf("a file that is cut gives %+v, %v", record, err)
	}
	damaged := append(bytes.Clone(capture), bytes.Repeat([]byte{0xff}, 3<<20)...)
	record, _, err = run(damaged)
	if err != nil || record.Output.Packets != 5 || record.WasDerivedFrom.Damage == "" || record.WasDerivedFrom.SHA256 != fmt.Sprintf("%x", sha(damaged)) {
		t.Errorf("a damaged file gives %+v, %v", record, err)
	}
	if _, err := Run(t.Context(), bytes.NewReader(capture), io.Discard, Options{}); err == nil {
		t.Error("no key is taken for a key")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := Run(ctx, bytes.NewReader(capture), io.Discard, Options{Key: referenceKey}); err == nil || err.Error() != "enough" {
		t.Errorf("cancelled: %v", err)
	}
	full := writerFunc(func([]byte) (int, error) { return 0, errors.New("disk full") })
	if _, err := Run(t.Context(), bytes.NewReader(capture), full, Options{Key: referenceKey}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("a full disk: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestKey(t *testing.T) {
	k := NewKey()
	if again, err := ParseKey(" " + k.Text() + "\n"); err != nil || again != k {
		t.Errorf("ParseKey(Text): %v", err)
	}
	for _, bad := range []string{"", "secretsecret", strings.Repeat("0", 64), strings.Repeat("ab", 31)} {
		if _, err := ParseKey(bad); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("ParseKey(%q) = %v", bad, err)
		}
	}
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v %s %v", Options{Key: k}, Options{Key: k}, k, &k)} {
		if strings.Contains(text, k.Text()) || strings.Contains(text, fmt.Sprint([32]byte(k))[1:20]) || strings.Contains(text, fmt.Sprintf("%#v", k[0])+", "+fmt.Sprintf("%#v", k[1])+", ") {
			t.Errorf("a printed key tells itself: %s", text)
		}
	}
	if NewKey() == k {
		t.Error("two new keys are the same")
	}
}

// Packets take no memory that stays: not those of segments, not those of
// messages that are kept.
func BenchmarkRun(b *testing.B) {
	query := "\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07contoso\x07example\x00\x00\x01\x00\x01"
	for _, bench := range []struct {
		name  string
		names bool
		data  []byte
	}{
		{"segments", false, frameOf(strings.Repeat("x", 800), eth(etherIPv4), ip4(6), tcp())},
		{"segments_with_names", true, frameOf(strings.Repeat("x", 800), eth(etherIPv4), ip4(6), tcp())},
		{"queries_with_names", true, frameOf(query, eth(etherIPv4), ip4(17), udp(40000, 53))},
	} {
		var in bytes.Buffer
		w, err := pcap.NewWriter(&in, ethernet, 0)
		if err != nil {
			b.Fatal(err)
		}
		for range 10000 {
			if err := w.WritePacket(1700000000e9, len(bench.data), bench.data); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(in.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Run(b.Context(), bytes.NewReader(in.Bytes()), io.Discard, Options{Key: referenceKey, HashNames: bench.names}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
