package quic

import (
	"encoding/binary"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

const (
	// maxHeader bounds an Initial's header: fixed parts, two connection ids,
	// and a token, which servers make as they like.
	maxHeader = 1200
	// maxInitials is how many Initial packets of each side are decrypted.
	maxInitials = 16
)

// A Reader reads the datagrams of one UDP conversation up to the ServerHello.
type Reader struct {
	c        Connection
	id       string // the connection id that the keys are derived from
	side     [2]side
	messages []byte // types of the handshake messages that were read
	done     bool
}

// side is what one end sends in Initial packets.
type side struct {
	keys   *keys
	hello  assembly
	opened int // packets decrypted
}

// The sides, and the labels of their secrets.
const (
	client = iota
	server
)

var labels = [2]string{"client in", "server in"}

// LooksLikeInitial reports whether a datagram starts with a QUIC long header
// that opens a connection in a version that can be read, and is long enough
// for one (RFC 9000, 14.1).
func LooksLikeInitial(b []byte) bool {
	if len(b) < 1200 || b[0]&0xc0 != 0xc0 {
		return false
	}
	v := Version(binary.BigEndian.Uint32(b[1:]))
	return (v == Version1 || v == Version2) && packetType(v, b[0]) == typeInitial
}

// Long packet types as version 1 numbers them (RFC 9000, 17.2).
const (
	typeInitial = 0
	typeRetry   = 3
)

// packetType returns the type in a long header's first byte; version 2 numbers
// them one further (RFC 9369, 3.2).
func packetType(v Version, first byte) byte {
	t := first >> 4 & 3
	if v == Version2 {
		t = (t - 1) & 3
	}
	return t
}

// NewReader returns a reader for a conversation that client opened.
func NewReader(client, server netip.AddrPort) *Reader {
	return &Reader{c: Connection{Client: client, Server: server}}
}

// Connection returns what was read so far.
func (r *Reader) Connection() *Connection { return &r.c }

// Messages returns the types of the TLS handshake messages that were read
// since the last call. It is valid until the next Datagram.
func (r *Reader) Messages() []byte {
	m := r.messages
	r.messages = r.messages[:0]
	return m
}

// Done reports whether nothing more is expected.
func (r *Reader) Done() bool { return r.done }

// Release lets go of unfinished messages, up to 16 KiB: nothing more will be
// fed.
func (r *Reader) Release() {
	r.done = true
	r.side = [2]side{}
}

// Datagram takes a datagram that from sent.
func (r *Reader) Datagram(from netip.AddrPort, at pcap.Timestamp, frame int64, b []byte) {
	sender := client
	if from != r.c.Client {
		sender = server
		r.c.Answered = true
	}
	// Packets may share a datagram (RFC 9000, 12.2). Each takes at least its
	// header, so this ends.
	for len(b) > 0 && !r.done {
		n := r.packet(sender, at, frame, b)
		if n == 0 {
			return
		}
		b = b[n:]
	}
}

// packet reads one packet and returns its length, 0 if nothing that follows
// can be read.
func (r *Reader) packet(sender int, at pcap.Timestamp, frame int64, b []byte) int {
	if len(b) < 7 || b[0]&0x80 == 0 {
		return 0
	}
	v := Version(binary.BigEndian.Uint32(b[1:]))
	switch {
	case v == 0 && sender == server:
		r.c.Negotiation = true
		r.Release()
		return 0
	case v != Version1 && v != Version2:
		return 0
	case packetType(v, b[0]) == typeRetry:
		r.c.Retry = r.c.Retry || sender == server
		return 0
	}
	o := cursor{b: b, at: 5}
	id := o.bytes(uint64(o.byte()))
	o.bytes(uint64(o.byte()))
	initial := packetType(v, b[0]) == typeInitial
	if initial {
		o.bytes(o.varint()) // token
	}
	length := o.varint()
	header := o.at
	if o.short || len(id) > 20 || length > uint64(len(b)-header) {
		return 0
	}
	end := header + int(length)
	if initial {
		if sender == client {
			if r.c.Initials == 0 {
				r.c.Version, r.c.First, r.c.Frame = v, at, frame
			}
			r.c.Initials++
		}
		r.initial(sender, v, id, frame, b[:end], header)
	}
	return end
}

// initial decrypts an Initial packet.
func (r *Reader) initial(sender int, v Version, id []byte, frame int64, packet []byte, header int) {
	s := &r.side[sender]
	if s.opened >= maxInitials {
		r.Release()
		return
	}
	s.opened++
	if sender == client && r.side[client].keys == nil {
		r.rekey(v, id)
	}
	if s.keys == nil {
		return // the server speaks, and what the client said was not captured
	}
	plain, ok := s.keys.open(nil, packet, header)
	if !ok && sender == client && string(id) != r.id {
		// After a Retry the keys change with the connection id.
		r.rekey(v, id)
		if s.keys != nil {
			plain, ok = s.keys.open(nil, packet, header)
		}
	}
	if ok {
		r.frames(sender, plain, frame)
	}
}

// rekey derives the keys of both sides.
func (r *Reader) rekey(v Version, id []byte) {
	r.id = string(id)
	for i := range r.side {
		k, err := initialKeys(v, id, labels[i])
		if err != nil {
			k = nil
		}
		r.side[i] = side{keys: k, opened: r.side[i].opened}
	}
}

// Frame types that an Initial packet may carry (RFC 9000, 12.4).
const (
	framePadding = 0x00
	framePing    = 0x01
	frameAck     = 0x02
	frameAckECN  = 0x03
	frameCrypto  = 0x06
)

func (r *Reader) frames(sender int, b []byte, number int64) {
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
				r.crypto(sender, offset, data, number)
			}
		default:
			return
		}
	}
}

// crypto takes a piece of the TLS handshake.
func (r *Reader) crypto(sender int, offset uint64, data []byte, number int64) {
	msg, ok := r.side[sender].hello.add(offset, data)
	if !ok {
		return
	}
	r.messages = append(r.messages, msg[0])
	switch tls.HandshakeType(msg[0]) {
	case tls.ClientHelloType:
		if hello, ok := tls.ParseClientHello(msg[4:], 'q'); ok && sender == client {
			hello.Frame = number
			r.c.Hello = hello
		}
	case tls.ServerHelloType:
		r.c.ServerHello = true
		r.Release()
	}
}
