package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// both are the byte orders that a file may have.
var both = []order{binary.LittleEndian, binary.BigEndian}

type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// header is a classic file header.
func header(o order, magic uint32, major, minor uint16, snapLength, link uint32) []byte {
	h := o.AppendUint32(nil, magic)
	h = o.AppendUint16(o.AppendUint16(h, major), minor)
	h = o.AppendUint64(h, 0)
	return o.AppendUint32(o.AppendUint32(h, snapLength), link)
}

// words are 32-bit numbers.
func words(o order, words ...uint32) (b []byte) {
	for _, w := range words {
		b = o.AppendUint32(b, w)
	}
	return b
}

// classicPacket is a packet with its header; more is put between the two.
func classicPacket(o order, seconds, fraction, captured, length uint32, more int, data string) []byte {
	return slices.Concat(words(o, seconds, fraction, captured, length), make([]byte, more), []byte(data))
}

// block is a pcapng block.
func block(o order, kind uint32, body ...[]byte) []byte {
	b := slices.Concat(body...)
	b = append(b, make([]byte, -len(b)&3)...)
	total := uint32(12 + len(b))
	return slices.Concat(words(o, kind, total), b, words(o, total))
}

func section(o order) []byte {
	return block(o, blockSectionHeader, words(o, byteOrderMagic), o.AppendUint16(o.AppendUint16(nil, 1), 0), bytes.Repeat([]byte{0xff}, 8))
}

func option(o order, code uint16, value ...byte) []byte {
	b := append(o.AppendUint16(o.AppendUint16(nil, code), uint16(len(value))), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func face(o order, link uint16, snapLength uint32, options ...[]byte) []byte {
	return block(o, blockInterfaceDescription, o.AppendUint16(o.AppendUint16(nil, link), 0), words(o, snapLength), slices.Concat(options...))
}

func enhanced(o order, face uint32, count uint64, length uint32, data string, options ...[]byte) []byte {
	padded := append([]byte(data), make([]byte, -len(data)&3)...)
	return block(o, blockEnhancedPacket, words(o, face, uint32(count>>32), uint32(count), uint32(len(data)), length), padded, slices.Concat(options...))
}

// dump reads everything, and writes a line for each packet and one for how it
// ended, without the texts of errors.
func dump(src io.Reader) (lines []string, s Summary) {
	r, err := NewReader(src)
	if err != nil {
		return []string{ending(err)}, s
	}
	for {
		rec, err := r.Next()
		if err != nil {
			if again, err2 := r.Next(); again != nil || err2 != err {
				return append(lines, "the error does not stay"), r.Summary()
			}
			lines = append(lines, ending(err))
			return lines, r.Summary()
		}
		lines = append(lines, fmt.Sprintf("%d %d %s %d %q", rec.Number, rec.Time, rec.LinkType, rec.Length, rec.Data))
	}
}

func ending(err error) string {
	format, ok := errors.AsType[*FormatError](err)
	switch {
	case err == io.EOF:
		return "end"
	case ok && format.LooksLike != "":
		return "unrecognised"
	case ok && format.Bomb:
		return "bomb"
	case ok:
		return "damaged"
	}
	return "error"
}

func packets(lines []string) int {
	return len(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.Contains(l, " ") }))
}

func mustWrite(tb testing.TB, link LinkType, data ...string) []byte {
	tb.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, link, 0)
	if err != nil {
		tb.Fatal(err)
	}
	for i, d := range data {
		if err := w.WritePacket(Timestamp(i+1)*1e9+7, len(d), []byte(d)); err != nil {
			tb.Fatal(err)
		}
	}
	return file.Bytes()
}
