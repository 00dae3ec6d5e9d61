package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// matcher says which packets a session captures: those of its machine that
// any filter matches, in either direction.
type matcher struct {
	machine []netip.Addr // none: either end may be the machine
	rules   []rule       // none: every packet of the machine
}

// rule is one filter.
type rule struct {
	protocol      uint8 // 0: any
	local, remote end
}

// end is what a filter wants of one end; nothing means anything.
type end struct {
	addrs []span[netip.Addr]
	ports []span[uint16]
}

// span is a range that includes both its bounds.
type span[T any] struct{ first, last T }

func newMatcher(machine []string, filters []capture.Filter) (*matcher, error) {
	m := &matcher{}
	for _, s := range machine {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("address of the machine: %w", err)
		}
		m.machine = append(m.machine, addr.Unmap())
	}
	for i, f := range filters {
		r, err := newRule(f)
		if err != nil {
			return nil, fmt.Errorf("filter %d: %w", i+1, err)
		}
		m.rules = append(m.rules, r)
	}
	return m, nil
}

func newRule(f capture.Filter) (r rule, err error) {
	switch strings.ToUpper(f.Protocol) {
	case "", "ANY":
	case "TCP":
		r.protocol = protocolTCP
	case "UDP":
		r.protocol = protocolUDP
	default:
		return r, fmt.Errorf("protocol %q: want TCP, UDP or Any", f.Protocol)
	}
	if r.local.addrs, err = spans(f.LocalIP, parseIPv4, netip.Addr.Compare); err != nil {
		return r, fmt.Errorf("local address: %w", err)
	}
	if r.remote.addrs, err = spans(f.RemoteIP, parseIPv4, netip.Addr.Compare); err != nil {
		return r, fmt.Errorf("remote address: %w", err)
	}
	if r.local.ports, err = spans(f.LocalPort, parsePort, comparePorts); err != nil {
		return r, fmt.Errorf("local port: %w", err)
	}
	if r.remote.ports, err = spans(f.RemotePort, parsePort, comparePorts); err != nil {
		return r, fmt.Errorf("remote port: %w", err)
	}
	return r, nil
}

// spans reads one value, one range, or a list, whose last ';' may be
// followed by nothing. Network Watcher knows neither several ranges nor a
// range in a list.
func spans[T any](s string, parse func(string) (T, error), compare func(a, b T) int) ([]span[T], error) {
	if s == "" {
		return nil, nil
	}
	if first, last, ok := strings.Cut(s, "-"); ok {
		a, err := parse(first)
		if err != nil {
			return nil, err
		}
		b, err := parse(last)
		if err != nil {
			return nil, err
		}
		if compare(a, b) > 0 {
			return nil, fmt.Errorf("range %q ends before it begins", s)
		}
		return []span[T]{{a, b}}, nil
	}
	var list []span[T]
	for v := range strings.SplitSeq(strings.TrimSuffix(s, ";"), ";") {
		a, err := parse(v)
		if err != nil {
			return nil, err
		}
		list = append(list, span[T]{a, a})
	}
	return list, nil
}

func parseIPv4(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil || !addr.Is4() {
		return addr, fmt.Errorf("%q is not an IPv4 address", s)
	}
	return addr, nil
}

func parsePort(s string) (uint16, error) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port", s)
	}
	return uint16(port), nil
}

func comparePorts(a, b uint16) int { return int(a) - int(b) }

// frame reports whether the session captures an Ethernet frame.
func (m *matcher) frame(data []byte) bool {
	h, ok := readHeaders(data)
	if !ok {
		// Nobody's address: it is the machine's only if the wire is.
		return len(m.machine) == 0 && len(m.rules) == 0
	}
	return m.direction(h, h.src, h.dst, h.srcPort, h.dstPort) ||
		m.direction(h, h.dst, h.src, h.dstPort, h.srcPort)
}

func (m *matcher) direction(h headers, local, remote netip.Addr, localPort, remotePort uint16) bool {
	if len(m.machine) > 0 && !slices.Contains(m.machine, local) {
		return false
	}
	if len(m.rules) == 0 {
		return true
	}
	for _, r := range m.rules {
		if (r.protocol == 0 || r.protocol == h.protocol) &&
			r.local.matches(local, localPort, h.ports) && r.remote.matches(remote, remotePort, h.ports) {
			return true
		}
	}
	return false
}

func (e end) matches(addr netip.Addr, port uint16, ports bool) bool {
	return (len(e.addrs) == 0 || slices.ContainsFunc(e.addrs, func(s span[netip.Addr]) bool {
		return addr.Is4() && s.first.Compare(addr) <= 0 && addr.Compare(s.last) <= 0
	})) && (len(e.ports) == 0 || ports && slices.ContainsFunc(e.ports, func(s span[uint16]) bool {
		return s.first <= port && port <= s.last
	}))
}
