package pcaptest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

var flags = map[string]byte{
	"SYN": flagSYN, "SYN-ACK": flagSYN | flagACK, "ACK": flagACK, "FIN": flagFIN | flagACK,
	"RST": flagRST, "RST-ACK": flagRST | flagACK,
}

func (b *builder) side(from, to netip.AddrPort) *flow {
	k := [2]netip.AddrPort{from, to}
	f := b.flows[k]
	if f == nil {
		n := uint32(len(b.flows)+1) * 1_000_000
		f = &flow{initial: n, next: n, window: 64240}
		b.flows[k] = f
	}
	return f
}

func (b *builder) tcp(l *line) ([]byte, error) {
	me, peer := b.side(l.src, l.dst), b.side(l.dst, l.src)
	flag, payload, seq := byte(flagPSH|flagACK), []byte(nil), me.next
	var err error
	switch word := l.words[0]; word {
	case "data":
		n, err := strconv.Atoi(l.words[1])
		if err != nil {
			return nil, err
		}
		payload = []byte(strings.Repeat("x", n))
	case "text":
		text, err := strconv.Unquote(l.words[1])
		if err != nil {
			return nil, err
		}
		payload = []byte(text)
	case "tls":
		if payload, err = tlsRecords(l); err != nil {
			return nil, err
		}
	case "query", "answer":
		message, err := dnsMessage(l)
		if err != nil {
			return nil, err
		}
		payload = append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
	case "again":
		if me.last == nil {
			return nil, fmt.Errorf("nothing was sent before")
		}
		payload, seq = me.last, me.lastSeq
	default:
		var ok bool
		if flag, ok = flags[word]; !ok {
			return nil, fmt.Errorf("no such packet: %s", word)
		}
		if flag&flagSYN != 0 {
			seq = me.initial
		}
	}
	if v, ok := l.values["seq"]; ok {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return nil, err
		}
		seq = me.initial + uint32(n)
	}
	ack := me.seen
	if v, ok := l.values["ack"]; ok {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return nil, err
		}
		ack = peer.initial + uint32(n)
	}
	if flag&flagACK == 0 {
		ack = 0
	}
	if flag == flagRST|flagACK && me.next == me.initial { // a closed port has no sequence number of its own
		seq = 0
	}
	window, err := l.number("win", uint64(me.window))
	if err != nil {
		return nil, err
	}

	options, err := tcpOptions(l)
	if err != nil {
		return nil, err
	}
	segment := make([]byte, 20+len(options)+len(payload))
	binary.BigEndian.PutUint16(segment, l.src.Port())
	binary.BigEndian.PutUint16(segment[2:], l.dst.Port())
	binary.BigEndian.PutUint32(segment[4:], seq)
	binary.BigEndian.PutUint32(segment[8:], ack)
	segment[12] = byte(20+len(options)) << 2
	segment[13] = flag
	binary.BigEndian.PutUint16(segment[14:], uint16(window))
	copy(segment[20:], options)
	copy(segment[20+len(options):], payload)
	checksum(segment, 16, l.src.Addr(), l.dst.Addr(), 6)

	length := uint32(len(payload))
	if flag&(flagSYN|flagFIN) != 0 {
		length++
	}
	if end := seq + length; seq != 0 && int32(end-me.next) > 0 {
		me.next = end
	}
	if len(payload) > 0 {
		me.last, me.lastSeq = payload, seq
	}
	if _, lost := l.values["lost"]; !lost {
		if end := seq + length; seq != 0 && (peer.seen == 0 || int32(end-peer.seen) > 0) {
			peer.seen = end
		}
	}
	return b.frame(l, 6, segment), nil
}

func tcpOptions(l *line) ([]byte, error) {
	var o []byte
	if mss, err := l.number("mss", 0); err != nil {
		return nil, err
	} else if mss != 0 {
		o = append(o, 2, 4, byte(mss>>8), byte(mss))
	}
	if _, ok := l.values["wscale"]; ok {
		shift, err := l.number("wscale", 0)
		if err != nil {
			return nil, err
		}
		o = append(o, 1, 3, 3, byte(shift))
	}
	if _, ok := l.values["sack"]; ok { // one block, of whatever
		o = append(o, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2)
	}
	return o, nil
}

func udp(l *line, payload []byte) []byte {
	d := make([]byte, 8+len(payload))
	binary.BigEndian.PutUint16(d, l.src.Port())
	binary.BigEndian.PutUint16(d[2:], l.dst.Port())
	binary.BigEndian.PutUint16(d[4:], uint16(len(d)))
	copy(d[8:], payload)
	checksum(d, 6, l.src.Addr(), l.dst.Addr(), 17)
	return d
}

func (b *builder) icmp(l *line) ([]byte, error) {
	kind, code, _ := strings.Cut(l.words[1], "/")
	t, err := strconv.Atoi(kind)
	if err != nil {
		return nil, err
	}
	c, err := strconv.Atoi(code)
	if err != nil {
		return nil, err
	}
	m := []byte{byte(t), byte(c), 0, 0, 0, 0, 0, 0}
	mtu, err := l.number("mtu", 0)
	if err != nil {
		return nil, err
	}
	v6 := l.src.Addr().Is6()
	if v6 {
		binary.BigEndian.PutUint32(m[4:], uint32(mtu))
	} else {
		binary.BigEndian.PutUint16(m[6:], uint16(mtu))
	}
	if q, err := l.number("quotes", 0); err != nil {
		return nil, err
	} else if q > 0 {
		if int(q) > len(b.frames) {
			return nil, fmt.Errorf("quotes packet %d, which comes later", q)
		}
		quoted := b.frames[q-1][14:]
		m = append(m, quoted[:min(len(quoted), 48)]...)
	}
	if v6 {
		checksum(m, 2, l.src.Addr(), l.dst.Addr(), 58)
		return b.frame(l, 58, m), nil
	}
	binary.BigEndian.PutUint16(m[2:], ^sum(0, m))
	return b.frame(l, 1, m), nil
}

// frame puts Ethernet and IP around a transport's segment.
func (b *builder) frame(l *line, protocol byte, segment []byte) []byte {
	ttl := byte(64)
	if v, err := l.number("ttl", 64); err == nil {
		ttl = byte(v)
	}
	ether := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}
	if l.src.Addr().Is6() {
		ether[12], ether[13] = 0x86, 0xdd
		ip := make([]byte, 40)
		ip[0] = 0x60
		binary.BigEndian.PutUint16(ip[4:], uint16(len(segment)))
		ip[6], ip[7] = protocol, ttl
		src, dst := l.src.Addr().As16(), l.dst.Addr().As16()
		copy(ip[8:], src[:])
		copy(ip[24:], dst[:])
		return append(append(ether, ip...), segment...)
	}
	ip := make([]byte, 20)
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(segment)))
	binary.BigEndian.PutUint16(ip[4:], b.ipid)
	ip[6] = 0x40
	ip[8], ip[9] = ttl, protocol
	src, dst := l.src.Addr().As4(), l.dst.Addr().As4()
	copy(ip[12:], src[:])
	copy(ip[16:], dst[:])
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip))
	return append(append(ether, ip...), segment...)
}

// checksum fills in the checksum at an offset of a segment (RFC 9293, 3.1).
func checksum(segment []byte, at int, src, dst netip.Addr, protocol byte) {
	pseudo := append(src.AsSlice(), dst.AsSlice()...)
	pseudo = append(pseudo, 0, protocol, byte(len(segment)>>8), byte(len(segment)))
	binary.BigEndian.PutUint16(segment[at:], ^sum(uint32(sum(0, pseudo)), segment))
}

func sum(start uint32, b []byte) uint16 {
	s := start
	for i, c := range b {
		if i%2 == 0 {
			s += uint32(c) << 8
		} else {
			s += uint32(c)
		}
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

func dnsMessage(l *line) ([]byte, error) {
	if len(l.words) < 3 {
		return nil, fmt.Errorf("want %s TYPE NAME", l.words[0])
	}
	types := map[string]dnsmessage.Type{"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "SRV": dnsmessage.TypeSRV, "TXT": dnsmessage.TypeTXT, "PTR": dnsmessage.TypePTR}
	t, ok := types[l.words[1]]
	if !ok {
		return nil, fmt.Errorf("type %q", l.words[1])
	}
	name, err := dnsmessage.NewName(strings.TrimSuffix(l.words[2], ".") + ".")
	if err != nil {
		return nil, err
	}
	id, err := l.number("id", 1)
	if err != nil {
		return nil, err
	}
	rcode, err := l.number("rcode", 0)
	if err != nil {
		return nil, err
	}
	_, cut := l.values["tc"]
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: uint16(id), Response: l.words[0] == "answer", RecursionDesired: true,
			RCode: dnsmessage.RCode(rcode), Truncated: cut,
		},
		Questions: []dnsmessage.Question{{Name: name, Type: t, Class: dnsmessage.ClassINET}},
	}
	for _, text := range l.words[3:] {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		h := dnsmessage.ResourceHeader{Name: name, Type: t, Class: dnsmessage.ClassINET, TTL: 60}
		if a.Is4() {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		} else {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return m.Pack()
}
