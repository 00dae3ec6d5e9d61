//go:build linux

package lab

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"
)

// DHCP (RFC 2131) as far as a client needs it that has an address and extends
// its lease: a request to the server, and its acknowledgement.
const (
	bootRequest, bootReply = 1, 2
	dhcpRequest, dhcpAck   = 3, 5

	optionMask, optionRouter, optionResolvers, optionName = 1, 3, 6, 15
	optionLease, optionType, optionServer, optionEnd      = 51, 53, 54, 255
)

var dhcpCookie = []byte{99, 130, 83, 99}

func dhcpMessage(op, kind byte, id uint32, yours netip.Addr, options ...[]byte) []byte {
	b := []byte{op, 1, 6, 0}
	b = binary.BigEndian.AppendUint32(b, id)
	b = append(b, 0, 0, 0, 0)
	b = append(b, clientAddr.AsSlice()...)
	b = append(b, yours.AsSlice()...)
	b = append(b, make([]byte, 8)...)
	b = append(b, 0x02, 0x70, 0, 0, 0x01, 0x10) // the client's hardware address
	b = append(b, make([]byte, 10+64+128)...)
	b = append(b, dhcpCookie...)
	b = append(b, optionType, 1, kind)
	for _, o := range options {
		b = append(b, o[0], byte(len(o)-1))
		b = append(b, o[1:]...)
	}
	return append(b, optionEnd)
}

// renewLease lets the client extend its lease at the router, whose answer
// names the resolver; the client takes it from there.
func (w *world) renewLease(resolver netip.Addr) netip.Addr {
	w.t.Helper()
	server, client := w.router.packets(at(gatewayAddr, 67)), w.client.packets(at(clientAddr, 68))
	go func() {
		buf := make([]byte, 1500)
		n, from, err := server.ReadFrom(buf)
		if err != nil || n < 240 || buf[0] != bootRequest {
			return
		}
		server.WriteTo(dhcpMessage(bootReply, dhcpAck, binary.BigEndian.Uint32(buf[4:]), clientAddr,
			append([]byte{optionServer}, gatewayAddr.AsSlice()...),
			[]byte{optionLease, 0, 1, 0x51, 0x80},
			[]byte{optionMask, 255, 255, 255, 0},
			append([]byte{optionRouter}, gatewayAddr.AsSlice()...),
			append([]byte{optionResolvers}, resolver.AsSlice()...),
			append([]byte{optionName}, "contoso.example"...),
		), from)
	}()
	request := dhcpMessage(bootRequest, dhcpRequest, 0x70cab, netip.IPv4Unspecified())
	if _, err := client.WriteTo(request, net.UDPAddrFromAddrPort(at(gatewayAddr, 67))); err != nil {
		w.t.Fatal(err)
	}
	client.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 1500)
	n, _, err := client.ReadFrom(buf)
	if err != nil {
		w.t.Fatal(err)
	}
	for o := buf[240:n]; len(o) >= 2 && o[0] != optionEnd; o = o[2+int(o[1]):] {
		if o[0] == optionResolvers {
			return netip.AddrFrom4([4]byte(o[2:6]))
		}
	}
	w.t.Fatal("the lease names no resolver")
	return netip.Addr{}
}
