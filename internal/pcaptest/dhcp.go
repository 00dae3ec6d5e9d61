package pcaptest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// dhcpMessage makes the message of a line
//
//	dhcp TYPE ADDRESS [dns=A;B] [router=A] [server=A] [lease=SECONDS]
//
// where TYPE is offer, request or ack (RFC 2131).
func dhcpMessage(l *line) ([]byte, error) {
	if len(l.words) < 3 {
		return nil, fmt.Errorf("want dhcp TYPE ADDRESS")
	}
	kind, ok := map[string]byte{"offer": 2, "request": 3, "ack": 5}[l.words[1]]
	if !ok {
		return nil, fmt.Errorf("dhcp %q", l.words[1])
	}
	address, err := netip.ParseAddr(l.words[2])
	if err != nil {
		return nil, err
	}
	m := make([]byte, 240)
	m[0] = 2
	if kind == 3 {
		m[0] = 1
	}
	copy(m[16:], address.AsSlice())
	m[28] = 2 // hardware address
	copy(m[29:], address.AsSlice())
	binary.BigEndian.PutUint32(m[236:], 0x63825363)
	m = append(m, 53, 1, kind)
	lease, err := l.number("lease", 86400)
	if err != nil {
		return nil, err
	}
	m = binary.BigEndian.AppendUint32(append(m, 51, 4), uint32(lease))
	for _, option := range []struct {
		name string
		code byte
	}{{"server", 54}, {"router", 3}, {"dns", 6}} {
		if l.values[option.name] == "" {
			continue
		}
		var value []byte
		for text := range strings.SplitSeq(l.values[option.name], ";") {
			a, err := netip.ParseAddr(text)
			if err != nil {
				return nil, err
			}
			value = append(value, a.AsSlice()...)
		}
		m = append(append(m, option.code, byte(len(value))), value...)
	}
	return append(m, 255), nil
}
