package dns

import (
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
)

// header is a message's header with one question and nothing else.
func header(counts ...uint16) []byte {
	b := []byte{0, 7, 1, 0}
	for i := range 4 {
		n := uint16(0)
		if i < len(counts) {
			n = counts[i]
		}
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return b
}

func TestNames(t *testing.T) {
	long := strings.Repeat("\x3f"+strings.Repeat("a", 63), 5) + "\x00"
	tests := []struct {
		name  string
		wire  string
		want  string
		whole bool
	}{
		{"root", "\x00", ".", true},
		{"upper_case", "\x03WWW\x07Example\x00", "www.example", true},
		{"foreign_bytes", "\x05a.b\\c\x04\xe2\x80\xae<\x00", `a\046b\092c.\226\128\174\060`, true},
		{"pointer_to_itself", "\xc0\x0c", "", true},
		{"pointer_behind_the_end", "\xff\xff", "", false},
		{"reserved_label", "\x41a\x00", "", false},
		{"label_behind_the_end", "\x3fabc", "", false},
		{"too_long", long, strings.TrimSuffix(strings.Repeat(strings.Repeat("a", 63)+".", 3), "."), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p parser
			p.parse(append(append(header(1), tt.wire...), 0, 1, 0, 1))
			if string(p.name) != tt.want || p.whole != tt.whole {
				t.Errorf("name %q, whole %v, want %q, %v", p.name, p.whole, tt.want, tt.whole)
			}
		})
	}
}

// Names that point at each other cost no more than a message of their length.
func TestPointerMaze(t *testing.T) {
	b := header(1, 0xffff, 0xffff, 0xffff)
	for i := range 16000 {
		b = binary.BigEndian.AppendUint16(b, 0xc000|uint16((12+2*i+2)%0x3fff))
	}
	var p parser
	if !p.parse(b) || p.whole {
		t.Error("65,535 records of nothing count as read")
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(query(f, 7, "www.example."))
	f.Add(reply(f, 7, "www.example.", dnsmessage.RCodeSuccess, false))
	f.Add(append(header(1), "\xc0\x0c\x00\x01\x00\x01"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p parser
		if !p.parse(b) {
			return
		}
		for _, c := range append(p.name, p.cname...) {
			if c <= ' ' || c > '~' {
				t.Fatalf("name %q is not plain ASCII", p.name)
			}
		}
		if len(p.name) > maxPresentation || p.addressN > MaxAddresses {
			t.Fatalf("limits passed: a name of %d bytes, %d addresses", len(p.name), p.addressN)
		}
		// What an independent parser takes for a question is one here, and says
		// the same. (It does not check the lengths of the records that follow.)
		var m dnsmessage.Message
		if m.Unpack(b) != nil || len(m.Questions) == 0 {
			return
		}
		if !p.whole && len(m.Answers)+len(m.Authorities)+len(m.Additionals) == 0 {
			t.Fatalf("dnsmessage reads %v", m)
		}
		want, _, _ := readName(packed(m.Questions[0].Name), 0, make([]byte, 0, maxPresentation))
		if string(p.name) != string(want) || p.typ != Type(m.Questions[0].Type) || p.response != m.Response || p.rcode != RCode(m.RCode&15) {
			t.Fatalf("%q %v %v %v, and dnsmessage reads %v", p.name, p.typ, p.response, p.rcode, m)
		}
	})
}

// packed is a name as dnsmessage holds it, on the wire.
func packed(n dnsmessage.Name) []byte {
	var b []byte
	for label := range strings.SplitSeq(strings.TrimSuffix(n.String(), "."), ".") {
		if label != "" {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return append(b, 0)
}

func FuzzStream(f *testing.F) {
	q := query(f, 7, "www.example.")
	f.Add(append([]byte{0, byte(len(q))}, q...), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		read := func(size int) Counters {
			k := newTalker(t, Limits{})
			k.table.Budget = &stream.Budget{Limit: 1 << 17}
			s := k.table.NewStream(first, second)
			for rest := b; len(rest) > 0; {
				n := min(size, len(rest))
				s.Feed(stream.Chunk{From: stream.Client, Data: rest[:n]})
				rest = rest[n:]
			}
			s.Release()
			if !k.table.Budget.Idle() {
				t.Fatal("memory is still accounted for after Release")
			}
			return k.finish(0)
		}
		if whole, cut := read(1<<20), read(int(size)+1); whole.Queries != cut.Queries || whole.Responses != cut.Responses {
			t.Fatalf("cut into %d bytes: %+v, whole: %+v", int(size)+1, cut, whole)
		}
	})
}
