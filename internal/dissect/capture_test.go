package dissect_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// A capture is written packet by packet, a millisecond apart, as a pcap file
// of raw IP packets.
type capture struct {
	file bytes.Buffer
	ms   uint32
}

func newCapture() *capture {
	c := new(capture)
	for _, v := range []any{uint32(0xa1b2c3d4), uint16(2), uint16(4), uint32(0), uint32(0), uint32(262144), uint32(101)} {
		binary.Write(&c.file, binary.LittleEndian, v)
	}
	return c
}

// ip adds a packet of which only the first kept bytes are captured; 0: all.
func (c *capture) ip(src, dst netip.Addr, protocol byte, payload []byte, kept int) {
	b := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	b = append(append(append(b, src.AsSlice()...), dst.AsSlice()...), payload...)
	length := len(b)
	if kept > 0 {
		b = b[:kept]
	}
	c.ms++
	for _, v := range []uint32{1_700_000_000 + c.ms/1000, c.ms % 1000 * 1000, uint32(len(b)), uint32(length)} {
		binary.Write(&c.file, binary.LittleEndian, v)
	}
	c.file.Write(b)
}

func (c *capture) udp(src, dst netip.AddrPort, payload []byte) {
	b := binary.BigEndian.AppendUint16(nil, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	c.ip(src.Addr(), dst.Addr(), packet.ProtocolUDP, append(append(b, 0, 0), payload...), 0)
}

// unreachable adds an ICMP error about a datagram.
func (c *capture) unreachable(from netip.Addr, src, dst netip.AddrPort) {
	b := []byte{3, 3, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 60, 0, 1, 0, 0, 64, packet.ProtocolUDP, 0, 0}
	b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	c.ip(from, src.Addr(), packet.ProtocolICMP, append(b, 0, 40, 0, 0), 0)
}

// tcp is a connection under way.
type tcp struct {
	c    *capture
	ends [2]netip.AddrPort
	seq  [2]uint32
}

// connect adds a handshake.
func (c *capture) connect(client, server string) *tcp {
	t := &tcp{c: c, ends: [2]netip.AddrPort{netip.MustParseAddrPort(client), netip.MustParseAddrPort(server)}, seq: [2]uint32{1000, 5000}}
	t.segment(0, packet.SYN, nil, 0)
	t.seq[0]++
	t.segment(1, packet.SYN|packet.ACK, nil, 0)
	t.seq[1]++
	t.segment(0, packet.ACK, nil, 0)
	return t
}

func (t *tcp) segment(from int, flags packet.TCPFlags, payload []byte, kept int) {
	b := binary.BigEndian.AppendUint16(nil, t.ends[from].Port())
	b = binary.BigEndian.AppendUint16(b, t.ends[1-from].Port())
	b = binary.BigEndian.AppendUint32(b, t.seq[from])
	b = binary.BigEndian.AppendUint32(b, t.seq[1-from])
	b = append(b, 0x50, byte(flags), 0xff, 0xff, 0, 0, 0, 0)
	t.c.ip(t.ends[from].Addr(), t.ends[1-from].Addr(), packet.ProtocolTCP, append(b, payload...), kept)
}

// client and server add payload.
func (t *tcp) client(payload string) { t.send(0, payload) }
func (t *tcp) server(payload string) { t.send(1, payload) }

func (t *tcp) send(from int, payload string) {
	t.segment(from, packet.PSH|packet.ACK, []byte(payload), 0)
	t.seq[from] += uint32(len(payload))
}

// skip leaves out bytes: they were sent, and not captured.
func (t *tcp) skip(from, n int) { t.seq[from] += uint32(n) }

// back goes back, to send what was skipped.
func (t *tcp) back(from, n int) { t.seq[from] -= uint32(n) }

func (t *tcp) fin() {
	for from := range 2 {
		t.segment(from, packet.FIN|packet.ACK, nil, 0)
		t.seq[from]++
	}
}
