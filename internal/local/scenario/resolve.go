package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	askTimeout = 1500 * time.Millisecond
	askTries   = 2
)

// ask puts one question to one resolver, and once more when no answer comes.
// The error is an [os.ErrDeadlineExceeded] when none came at all.
func ask(ctx context.Context, h *stagehand, name string, from netip.Addr, resolver netip.AddrPort) (netip.Addr, error) {
	parsed, err := dnsmessage.NewName(name)
	if err != nil {
		return netip.Addr{}, err
	}
	id := uint16(rand.Uint32())
	question := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: parsed, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packet, err := question.Pack()
	if err != nil {
		return netip.Addr{}, err
	}
	c, err := h.packets(ctx, netip.AddrPortFrom(from, 0))
	if err != nil {
		return netip.Addr{}, err
	}
	defer h.drop(c)
	buf := make([]byte, 1500)
	for range askTries {
		if _, err = c.WriteTo(packet, net.UDPAddrFromAddrPort(resolver)); err != nil {
			return netip.Addr{}, err
		}
		if err = c.SetReadDeadline(time.Now().Add(askTimeout)); err != nil {
			return netip.Addr{}, err
		}
		var n int
		if n, _, err = c.ReadFrom(buf); err == nil {
			return address(buf[:n], id)
		}
		if ctx.Err() != nil {
			return netip.Addr{}, context.Cause(ctx)
		}
	}
	return netip.Addr{}, err
}

// address is the answer in a message.
func address(packet []byte, id uint16) (netip.Addr, error) {
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		return netip.Addr{}, err
	}
	if m.ID != id || m.RCode != dnsmessage.RCodeSuccess || len(m.Answers) == 0 {
		return netip.Addr{}, errors.New("the resolver has no answer")
	}
	a, ok := m.Answers[0].Body.(*dnsmessage.AResource)
	if !ok {
		return netip.Addr{}, fmt.Errorf("the answer is a %v", m.Answers[0].Header.Type)
	}
	return netip.AddrFrom4(a.A), nil
}

// answerQuestions answers from the zone, until the socket is closed.
func answerQuestions(c net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.RecursionAvailable = true, true
		m.RCode = dnsmessage.RCodeNameError
		name := m.Questions[0].Name
		if i := slices.IndexFunc(zone, func(r entry) bool { return r.name == name.String() }); i >= 0 {
			m.RCode = dnsmessage.RCodeSuccess
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 30},
				Body:   &dnsmessage.AResource{A: zone[i].addr.As4()},
			}}
		}
		if packet, err := m.Pack(); err == nil {
			c.WriteTo(packet, from)
		}
	}
}
