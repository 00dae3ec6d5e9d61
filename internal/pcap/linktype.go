package pcap

import "fmt"

// LinkType says what the first header of a packet is: a number of the
// registry at https://www.tcpdump.org/linktypes.html.
type LinkType uint32

// The link types that the product decodes.
const (
	LinkTypeNull             LinkType = 0 // BSD loopback: address family in the writer's byte order
	LinkTypeEthernet         LinkType = 1
	LinkTypePPP              LinkType = 9
	LinkTypeRawBSD           LinkType = 12 // bare IPv4 or IPv6, as most systems number it
	LinkTypeRawOpenBSD       LinkType = 14 // the same, as OpenBSD numbers it
	LinkTypePPPHDLC          LinkType = 50 // PPP in HDLC-like framing
	LinkTypeFDDI             LinkType = 10
	LinkTypePPPoE            LinkType = 51  // PPPoE session without its Ethernet header
	LinkTypeRaw              LinkType = 101 // bare IPv4 or IPv6
	LinkTypeCiscoHDLC        LinkType = 104
	LinkTypeWLAN             LinkType = 105 // IEEE 802.11
	LinkTypeFrameRelay       LinkType = 107
	LinkTypeLoop             LinkType = 108 // OpenBSD loopback: address family in network byte order
	LinkTypeEnc              LinkType = 109 // OpenBSD IPsec interface
	LinkTypeLinuxSLL         LinkType = 113 // Linux "any" interface
	LinkTypePFLog            LinkType = 117 // OpenBSD packet filter log
	LinkTypeRadiotap         LinkType = 127 // radiotap header, then 802.11
	LinkTypeIPOverFireWire   LinkType = 138 // Apple's
	LinkTypePPPWithDirection LinkType = 204 // a direction byte, then PPP
	LinkTypeNFLog            LinkType = 239 // Linux netfilter log
	LinkTypeIPv4             LinkType = 228
	LinkTypeIPv6             LinkType = 229
	LinkTypeLinuxSLL2        LinkType = 276 // Linux "any" interface, with interface index

	// LinkTypeNone marks what is no packet, or none with a known header, but
	// counts as one in Wireshark: custom blocks of pcapng, events of NetMon.
	LinkTypeNone LinkType = 1<<32 - 1
)

var linkTypeNames = map[LinkType]string{
	LinkTypeNull:             "null",
	LinkTypeEthernet:         "ethernet",
	LinkTypePPP:              "ppp",
	LinkTypeRawBSD:           "raw",
	LinkTypeRawOpenBSD:       "raw",
	LinkTypePPPHDLC:          "ppp-hdlc",
	LinkTypePPPoE:            "pppoe",
	LinkTypeFDDI:             "fddi",
	LinkTypeEnc:              "enc",
	LinkTypePFLog:            "pflog",
	LinkTypeNFLog:            "nflog",
	LinkTypeIPOverFireWire:   "ip-over-ieee1394",
	LinkTypeRaw:              "raw",
	LinkTypeCiscoHDLC:        "cisco-hdlc",
	LinkTypeWLAN:             "ieee802.11",
	LinkTypeFrameRelay:       "frame-relay",
	LinkTypeLoop:             "loop",
	LinkTypeLinuxSLL:         "linux-sll",
	LinkTypeRadiotap:         "ieee802.11-radiotap",
	LinkTypePPPWithDirection: "ppp-with-direction",
	LinkTypeIPv4:             "ipv4",
	LinkTypeIPv6:             "ipv6",
	LinkTypeLinuxSLL2:        "linux-sll2",
	LinkTypeNone:             "none",
}

// String returns a short name such as "ethernet", or "linktype-147" for a
// type that has none here.
func (t LinkType) String() string {
	if name, ok := linkTypeNames[t]; ok {
		return name
	}
	return fmt.Sprintf("linktype-%d", uint32(t))
}
