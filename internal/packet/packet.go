// Package packet decodes a frame's link, network and transport headers into
// one reusable value.
package packet

import (
	"net/netip"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// TCPFlags are the flag bits of a TCP header (RFC 9293, 3.1).
type TCPFlags uint16

// The TCP flags.
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// IP protocol numbers (IANA) that the product knows by name.
const (
	ProtocolICMP   = 1
	ProtocolTCP    = 6
	ProtocolUDP    = 17
	ProtocolICMPv6 = 58
)

// A Packet is one frame as its headers tell it. Decode fills it again for
// every frame, so nothing in it may be kept past the next call. Where tunnels
// were opened, everything from Src on belongs to the innermost IP packet.
type Packet struct {
	Number         int64          // frame number, from 1, as Wireshark shows it
	Time           pcap.Timestamp // when it was captured
	Length         int            // bytes on the wire
	CapturedLength int            // bytes in the file

	VLAN   uint16 // outermost 802.1Q identifier, 0 if untagged
	Tunnel Tunnel // what was opened to get to the innermost IP packet

	IPVersion       uint8 // 4 or 6; 0: not IP, and nothing below is valid
	TTL             uint8 // or hop limit
	IPID            uint16
	DontFragment    bool
	Fragment        bool // a fragment that was not reassembled: no ports, no payload
	Reassembled     bool // this frame's fragment was the last missing one: the rest is of the whole datagram
	Src, Dst        netip.Addr
	IPPayloadLength int // from the IP header, not from what was captured

	Protocol         uint8  // of the transport: ProtocolTCP, ...
	Transport        bool   // Protocol is TCP, UDP, ICMP or ICMPv6, and its header was captured; else nothing below is valid
	SrcPort, DstPort uint16 // of TCP and UDP

	// Valid if Protocol is TCP.
	Seq, Ack      uint32
	Flags         TCPFlags
	Window        uint16 // raw, not scaled
	SegmentLength int    // of TCP payload, from the IP header (packet-captured bytes may be fewer)
	MSS           uint16 // option, 0: absent
	WindowScale   int8   // option, -1: absent
	SACKPermitted bool
	SACK          bool // at least one SACK block

	// PartialHeader: no more than 16 bytes of the TCP header were captured, or
	// its length is impossible. Ports, flags and numbers are what it says. Like
	// tshark, count such a segment to its stream, but analyse nothing.
	PartialHeader bool

	// Valid if Protocol is ICMP or ICMPv6.
	ICMP ICMP

	// Payload is what was captured of the transport's payload.
	Payload []byte

	// HeaderLength is how many bytes of the frame lie before the payload, or
	// before what was not decoded.
	HeaderLength int
}

// ICMP is the head of an ICMP message, and of the packet that an error quotes.
type ICMP struct {
	Type, Code uint8
	MTU        int // fragmentation needed (RFC 1191) and packet too big (RFC 4443)

	Quoted                       bool // the message quotes a packet
	QuotedProtocol               uint8
	QuotedSrc, QuotedDst         netip.Addr
	QuotedSrcPort, QuotedDstPort uint16 // 0 if the quote was too short
	QuotedSeq                    uint32
}

// Tunnel is the set of encapsulations that were opened on the way to the
// innermost IP packet.
type Tunnel uint16

// The encapsulations.
const (
	TunnelVXLAN Tunnel = 1 << iota
	TunnelGRE
	TunnelERSPAN
	TunnelGeneve
	TunnelIPIP
	TunnelTeredo
	TunnelMPLS
	TunnelGTP
	TunnelL2TP
	TunnelPPPoE
	TunnelLISP
	TunnelAYIYA
	TunnelEtherIP
)

var tunnelNames = [...]string{"vxlan", "gre", "erspan", "geneve", "ipip", "teredo", "mpls", "gtp", "l2tp", "pppoe", "lisp", "ayiya", "etherip"}

// String returns the names of the encapsulations in t, joined by "+", or the
// empty string for none.
func (t Tunnel) String() string {
	var names []string
	for i, name := range tunnelNames {
		if t&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}
