package pcap

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
)

func compress(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestCompressed(t *testing.T) {
	plain := mustWrite(t, LinkTypeRaw, "first", "second")
	packed := compress(t, plain)
	corrupt := bytes.Clone(packed)
	corrupt[len(corrupt)-8] ^= 1 // checksum
	tests := []struct {
		name     string
		file     []byte
		packets  int
		end      string
		cutShort bool
	}{
		{name: "whole", file: packed, packets: 2, end: "end"},
		{name: "two_members", file: append(compress(t, plain[:30]), compress(t, plain[30:])...), packets: 2, end: "end"},
		{name: "padded", file: append(bytes.Clone(packed), make([]byte, 512)...), packets: 2, end: "end"},
		{name: "cut", file: packed[:len(packed)-12], end: "end", cutShort: true, packets: -1},
		{name: "wrong_checksum", file: corrupt, packets: 2, end: "damaged"},
		{name: "capture_cut_inside", file: compress(t, plain[:len(plain)-1]), packets: 1, end: "end", cutShort: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, sum := dump(bytes.NewReader(test.file))
			if n := packets(got); n != test.packets && test.packets >= 0 {
				t.Errorf("%d packets, want %d", n, test.packets)
			}
			if end := got[len(got)-1]; end != test.end {
				t.Errorf("ends with %q, want %q", end, test.end)
			}
			if sum.CutShort != test.cutShort || !sum.Compressed {
				t.Errorf("cut short %t, compressed %t; want %t, true", sum.CutShort, sum.Compressed, test.cutShort)
			}
			if sum.Bytes != int64(len(test.file)) {
				t.Errorf("%d bytes read, want the %d of the file", sum.Bytes, len(test.file))
			}
		})
	}
}

// TestBomb unpacks a capture of zeros that is a thousand times its file.
func TestBomb(t *testing.T) {
	packet := classicPacket(both[0], 1, 0, 60000, 60000, 0, strings.Repeat("\x00", 60000))
	var file bytes.Buffer
	w, err := gzip.NewWriterLevel(&file, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(header(both[0], magicMicroseconds, 2, 4, 0, 1))
	for range (2 * inflateRatioFrom) / len(packet) {
		w.Write(packet)
	}
	w.Close()
	r, err := NewReader(&file)
	n := 0
	for ; err == nil; n++ {
		_, err = r.Next()
	}
	format, ok := errors.AsType[*FormatError](err)
	if !ok || !format.Bomb {
		t.Fatalf("after %d packets: %v, want a FormatError that tells a bomb", n, err)
	}
	if most := inflateRatioFrom/len(packet) + 50; n < most/2 || n > most {
		t.Errorf("%d packets before it was given up, want about %d", n, most)
	}
	if _, err := r.Next(); err == nil || err == io.EOF {
		t.Errorf("Next after the end: %v, want the same error", err)
	}
}
