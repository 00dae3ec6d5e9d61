package quic

import (
	"encoding/binary"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

const (
	// maxHeader bounds an Initial's header: 4 fixed parts, two connection ids,
	// and a token, which servers make as they like.
	maxHeader = 1200
	// maxHello is how much of a ClientHello is put together. Post-quantum key
	// shares make them 1.8 KB; nothing needs more than a few packets.
	maxHello = 8 << 10
	// maxInitials is how many Initial packets of a client are decrypted.
	maxInitials = 16
)

// A Reader reads the datagrams of one UDP conversation up to the ClientHello.
type Reader struct {
	c    Connection
	keys *keys
	id   string // the connection id that keys are derived from

	hello []byte      // the CRYPTO stream
	have  [][2]uint64 // which parts of it, sorted, not touching
	done  bool
}

// LooksLikeInitial reports whether a datagram starts with a QUIC long header
// that opens a connection in a version that can be read, and is long enough
// for one (RFC 9000, 14.1).
func LooksLikeInitial(b []byte) bool {
	if len(b) < 1200 || b[0]&0xc0 != 0xc0 {
		return false
	}
	v := Version(binary.BigEndian.Uint32(b[1:]))
	return (v == Version1 || v == Version2) && isInitial(b[0], v)
}

// isInitial reports whether the first byte is that of an Initial packet; the
// numbers differ in version 2 (RFC 9369, 3.2).
func isInitial(first byte, v Version) bool { return first>>4&3 == packetType(v, 0) }

func isRetry(first byte, v Version) bool { return first>>4&3 == packetType(v, 3) }

// packetType is how v writes the long header type that version 1 writes as t.
func packetType(v Version, t byte) byte {
	if v == Version2 {
		return (t + 1) & 3
	}
	return t
}

// NewReader returns a reader for a conversation that client opened.
func NewReader(client, server netip.AddrPort) *Reader {
	return &Reader{c: Connection{Client: client, Server: server}}
}

// Release lets go of an unfinished ClientHello: nothing more will be fed.
func (r *Reader) Release() { r.finish() }

// Waiting reports whether the reader holds part of a ClientHello, up to 8 KiB.
func (r *Reader) Waiting() bool { return !r.done }

// Connection returns what was read so far.
func (r *Reader) Connection() *Connection { return &r.c }

// Done reports whether nothing more is expected.
func (r *Reader) Done() bool { return r.done && r.c.Answered }

// Datagram takes a datagram that from sent.
func (r *Reader) Datagram(from netip.AddrPort, at pcap.Timestamp, frame int64, b []byte) {
	if from != r.c.Client {
		r.answer(b)
		return
	}
	// Packets may share a datagram (RFC 9000, 12.2). Each takes at least its
	// header, so this ends.
	for len(b) > 0 && !r.done {
		n := r.packet(at, frame, b)
		if n == 0 {
			return
		}
		b = b[n:]
	}
}

// answer takes a datagram of the server.
func (r *Reader) answer(b []byte) {
	r.c.Answered = true
	if len(b) < 5 || b[0]&0x80 == 0 {
		return
	}
	switch v := Version(binary.BigEndian.Uint32(b[1:])); {
	case v == 0:
		r.c.Negotiation = true
		r.done = true
	case isRetry(b[0], v):
		// The client starts again with another connection id.
		r.c.Retry = true
	}
}

// packet reads one packet of the client and returns its length, 0 if nothing
// that follows can be read.
func (r *Reader) packet(at pcap.Timestamp, frame int64, b []byte) int {
	if len(b) < 7 || b[0]&0xc0 != 0xc0 {
		return 0
	}
	v := Version(binary.BigEndian.Uint32(b[1:]))
	if v != Version1 && v != Version2 {
		return 0
	}
	o := cursor{b: b, at: 5}
	id := o.bytes(uint64(o.byte()))
	o.bytes(uint64(o.byte()))
	initial := isInitial(b[0], v)
	if initial {
		o.bytes(o.varint()) // token
	}
	length := o.varint()
	header := o.at
	if o.short || isRetry(b[0], v) || len(id) > 20 || length > uint64(len(b)-header) {
		return 0
	}
	end := header + int(length)
	if initial {
		r.initial(v, id, at, frame, b[:end], header)
	}
	return end
}

func (r *Reader) initial(v Version, id []byte, at pcap.Timestamp, frame int64, packet []byte, header int) {
	if r.c.Initials == 0 {
		r.c.Version, r.c.First, r.c.Frame = v, at, frame
	}
	r.c.Initials++
	if r.c.Initials > maxInitials {
		r.finish()
		return
	}
	if r.keys == nil || r.c.Retry && string(id) != r.id && len(r.hello) == 0 {
		k, err := clientKeys(v, id)
		if err != nil {
			r.finish()
			return
		}
		r.keys, r.id = k, string(id)
	}
	plain, ok := r.keys.open(nil, packet, header)
	if !ok {
		// After a Retry the keys change with the connection id.
		k, err := clientKeys(v, id)
		if err != nil {
			return
		}
		if plain, ok = k.open(nil, packet, header); !ok {
			return
		}
		r.keys, r.id, r.hello, r.have = k, string(id), nil, nil
	}
	r.frames(plain, frame)
}

// finish ends the reading and lets go of what it took.
func (r *Reader) finish() {
	r.done = true
	r.keys, r.hello, r.have = nil, nil, nil
}

// Frame types that an Initial packet may carry (RFC 9000, 12.4).
const (
	framePadding = 0x00
	framePing    = 0x01
	frameAck     = 0x02
	frameAckECN  = 0x03
	frameCrypto  = 0x06
)

func (r *Reader) frames(b []byte, number int64) {
	o := cursor{b: b}
	for o.at < len(b) && !o.short && !r.done {
		switch o.varint() {
		case framePadding, framePing:
		case frameAck:
			o.ack()
		case frameAckECN:
			o.ack()
			o.varint()
			o.varint()
			o.varint()
		case frameCrypto:
			offset := o.varint()
			data := o.bytes(o.varint())
			if !o.short {
				r.crypto(offset, data, number)
			}
		default:
			return
		}
	}
}

// crypto takes a piece of the CRYPTO stream.
func (r *Reader) crypto(offset uint64, data []byte, number int64) {
	end := offset + uint64(len(data))
	if len(data) == 0 || end > maxHello {
		return
	}
	if grow := int(end) - len(r.hello); grow > 0 {
		r.hello = append(r.hello, make([]byte, grow)...)
	}
	copy(r.hello[offset:], data)
	r.cover(offset, end)
	if r.have[0][0] != 0 || r.have[0][1] < 4 {
		return
	}
	need := 4 + (uint64(r.hello[1])<<16 | uint64(r.hello[2])<<8 | uint64(r.hello[3]))
	if r.hello[0] != byte(tls.ClientHelloType) || need > maxHello {
		r.finish()
		return
	}
	if r.have[0][1] < need {
		return
	}
	if hello, ok := tls.ParseClientHello(r.hello[4:need], 'q'); ok {
		hello.Frame = number
		r.c.Hello = hello
	}
	r.finish()
}

// cover notes that [from, to) is there.
func (r *Reader) cover(from, to uint64) {
	kept := r.have[:0]
	at := 0
	for _, h := range r.have {
		switch {
		case h[1] < from:
			kept = append(kept, h)
			at = len(kept)
		case h[0] > to:
			kept = append(kept, h)
		default:
			from, to = min(from, h[0]), max(to, h[1])
		}
	}
	r.have = append(kept, [2]uint64{})
	copy(r.have[at+1:], r.have[at:])
	r.have[at] = [2]uint64{from, to}
}

// cursor reads a structure. Reading past the end gives zero and leaves short
// set.
type cursor struct {
	b     []byte
	at    int
	short bool
}

func (o *cursor) bytes(n uint64) []byte {
	if o.short || n > uint64(len(o.b)-o.at) {
		o.short = true
		return nil
	}
	b := o.b[o.at : o.at+int(n)]
	o.at += int(n)
	return b
}

func (o *cursor) byte() byte {
	if b := o.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// varint reads a variable-length integer (RFC 9000, 16).
func (o *cursor) varint() uint64 {
	first := o.byte()
	v := uint64(first & 0x3f)
	for _, b := range o.bytes(1<<(first>>6) - 1) {
		v = v<<8 | uint64(b)
	}
	return v
}

// ack skips the rest of an ACK frame.
func (o *cursor) ack() {
	o.varint()
	o.varint()
	ranges := o.varint()
	o.varint()
	for i := uint64(0); i < ranges && !o.short; i++ {
		o.varint()
		o.varint()
	}
}
