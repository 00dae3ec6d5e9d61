package traffic

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A session is a connection or an exchange of datagrams that was planned and
// is being played.
type session struct {
	protocol uint8
	ends     [2]netip.AddrPort // client, server
	ttl      [2]uint8
	ipid     [2]uint16
	clock    [2]uint32 // the last TCP timestamp of each end
	plan     []planned // in the order of time
	played   int
}

// planned is one packet.
type planned struct {
	at       pcap.Timestamp
	from     int  // index into session.ends
	lost     bool // before it was captured
	flags    packet.TCPFlags
	seq, ack uint32
	window   uint16
	sack     [2]uint32 // a block, if not equal
	icmp     uint8     // type
	payload  []byte
}

const (
	client = 0
	server = 1
)

func (s *session) at() pcap.Timestamp { return s.plan[s.played].at }

// frame appends p as it is on the wire.
func (s *session) frame(b []byte, p *planned) []byte {
	src, dst := s.ends[p.from], s.ends[1-p.from]
	s.ipid[p.from]++
	b = append(b, 2, 0, 0, 0, 0, byte(1-p.from), 2, 0, 0, 0, 0, byte(p.from))
	network := len(b) + 2
	if src.Addr().Is4() {
		b = append(b, 8, 0, 0x45, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, s.ipid[p.from])
		b = append(b, 0x40, 0, s.ttl[p.from], s.protocol, 0, 0)
		from, to := src.Addr().As4(), dst.Addr().As4()
		b = append(append(b, from[:]...), to[:]...)
	} else {
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, s.protocol, s.ttl[p.from])
		from, to := src.Addr().As16(), dst.Addr().As16()
		b = append(append(b, from[:]...), to[:]...)
	}
	transport := len(b)
	checksum := 0 // where it belongs
	switch s.protocol {
	case packet.ProtocolTCP:
		b, checksum = s.tcp(b, p, src.Port(), dst.Port()), transport+16
	case packet.ProtocolUDP:
		b = binary.BigEndian.AppendUint16(b, src.Port())
		b = binary.BigEndian.AppendUint16(b, dst.Port())
		b = binary.BigEndian.AppendUint16(b, uint16(8+len(p.payload)))
		b, checksum = append(b, 0, 0), transport+6
	default:
		b, checksum = append(b, p.icmp, 0, 0, 0, 0, 7, byte(p.seq>>8), byte(p.seq)), transport+2
	}
	b = append(b, p.payload...)

	segment := b[transport:]
	if src.Addr().Is4() {
		binary.BigEndian.PutUint16(b[network+2:], uint16(len(b)-network))
		binary.BigEndian.PutUint16(b[network+10:], ^sum(0, b[network:transport]))
	} else {
		binary.BigEndian.PutUint16(b[network+4:], uint16(len(segment)))
	}
	pseudo := uint64(0)
	if s.protocol != packet.ProtocolICMP {
		pseudo = uint64(s.protocol) + uint64(len(segment)) + uint64(sum(0, b[transport-2*src.Addr().BitLen()/8:transport]))
	}
	binary.BigEndian.PutUint16(b[checksum:], ^sum(pseudo, segment))
	return b
}

// tcp appends a TCP header: on a SYN with the usual options, else with
// timestamps.
func (s *session) tcp(b []byte, p *planned, src, dst uint16) []byte {
	head := len(b)
	b = binary.BigEndian.AppendUint16(b, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	b = binary.BigEndian.AppendUint32(b, p.seq)
	b = binary.BigEndian.AppendUint32(b, p.ack)
	b = append(b, 0, byte(p.flags))
	b = binary.BigEndian.AppendUint16(b, p.window)
	b = append(b, 0, 0, 0, 0)
	if p.flags&packet.RST != 0 {
		b[head+12] = 20 << 2
		return b
	}
	if p.flags&packet.SYN != 0 {
		b = append(b, 2, 4, mss>>8, mss&0xff, 4, 2)
	} else {
		b = append(b, 1, 1)
	}
	s.clock[p.from] = uint32(p.at / pcap.Timestamp(time.Millisecond))
	b = append(b, 8, 10)
	b = binary.BigEndian.AppendUint32(b, s.clock[p.from])
	b = binary.BigEndian.AppendUint32(b, s.clock[1-p.from])
	if p.flags&packet.SYN != 0 {
		b = append(b, 1, 3, 3, 7)
	}
	if p.sack[0] != p.sack[1] {
		b = append(b, 1, 1, 5, 10)
		b = binary.BigEndian.AppendUint32(b, p.sack[0])
		b = binary.BigEndian.AppendUint32(b, p.sack[1])
	}
	b[head+12] = byte(len(b)-head) << 2
	return b
}

// sum is the Internet checksum's (RFC 1071), in steps of eight bytes.
func sum(start uint64, b []byte) uint16 {
	s := start
	for ; len(b) >= 8; b = b[8:] {
		v := binary.BigEndian.Uint64(b)
		s += v>>32 + v&0xffffffff
	}
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
