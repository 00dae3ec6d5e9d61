package tls

import (
	"crypto/tls"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
)

// pack writes chunks as a fuzz input: side, length, bytes.
func pack(chunks []stream.Chunk) []byte {
	var b []byte
	for _, c := range chunks {
		b = append(b, byte(c.From))
		b = binary.BigEndian.AppendUint16(b, uint16(len(c.Data)))
		b = append(b, c.Data...)
	}
	return b
}

func unpack(b []byte) []stream.Chunk {
	var chunks []stream.Chunk
	for len(b) > 3 {
		n := min(int(binary.BigEndian.Uint16(b[1:])), len(b)-3)
		chunks = append(chunks, stream.Chunk{From: stream.Side(b[0] & 1), Frame: int64(len(chunks) + 1), Data: b[3 : 3+n]})
		b = b[3+n:]
	}
	return chunks
}

// FuzzReader: no panic; no more memory than the budget; and the same result
// however the bytes are cut, as long as the reader knows where it is.
func FuzzReader(f *testing.F) {
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS12, tls.VersionTLS13} {
		client, server := configs(f, version)
		f.Add(pack(talk(f, client, server).chunks), uint8(3))
	}
	f.Add(pack([]stream.Chunk{{Data: []byte("\x80\x1c\x01\x00\x02\x00\x03\x00\x00\x00\x10\x01\x00\x80CCCCCCCCCCCCCCCC")}}), uint8(5))
	f.Fuzz(func(t *testing.T, input []byte, size uint8) {
		chunks := unpack(input)
		read := func(size int) (*Dissector, *Session) {
			d := NewDissector()
			d.Budget = &stream.Budget{Limit: 64 << 10}
			r := d.NewReader(true, true)
			for _, c := range chunks {
				for data := c.Data; len(data) > 0; {
					c.Data = data[:min(size, len(data))]
					data = data[len(c.Data):]
					r.Feed(c)
					r.Again(c)
				}
			}
			r.Close(stream.Server, 0, 99, true)
			r.Release()
			if !d.Budget.Idle() {
				t.Error("memory is still accounted for after Release")
			}
			if len(r.session.Messages) > MaxMessages || len(r.session.Alerts) > MaxAlerts || len(r.session.History) > 32 {
				t.Errorf("limits passed: %d messages, %d alerts, history %q", len(r.session.Messages), len(r.session.Alerts), r.session.History)
			}
			r.session.Stage()
			r.session.Failure()
			return d, &r.session
		}
		_, whole := read(1 << 20)
		_, cut := read(int(size) + 1)
		if whole.Incomplete || cut.Incomplete {
			return // it looks for a new beginning where a packet begins
		}
		if diff := cmp.Diff(whole, cut, cmp.AllowUnexported(Session{})); diff != "" {
			t.Errorf("cut into %d bytes it reads otherwise (-whole +cut):\n%s", int(size)+1, diff)
		}
	})
}

func FuzzClientHello(f *testing.F) {
	f.Add(hello(VersionTLS12, ja4Ciphers, sni("example.test"), alpn("h2")))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := ParseClientHello(b, 't')
		if ok && (len(h.JA4) != 36 || len(h.SNI) > MaxName) {
			t.Errorf("JA4 %q, SNI of %d bytes", h.JA4, len(h.SNI))
		}
	})
}
