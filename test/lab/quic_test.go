//go:build linux

package lab

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"time"

	"golang.org/x/net/quic"
)

// speakQUIC sends something to and fro on a stream.
func (w *world) speakQUIC(server, client *quic.Config) {
	w.t.Helper()
	address := at(partnerAddr, 443)
	endpoint := func(h *host, a netip.AddrPort, c *quic.Config) *quic.Endpoint {
		e, err := quic.NewEndpoint(h.packets(a), c)
		if err != nil {
			w.t.Fatal(err)
		}
		return e
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	near, far := endpoint(w.client, at(clientAddr, 0), client), endpoint(w.server, address, server)
	go func() {
		c, err := far.Accept(ctx)
		if err != nil {
			return
		}
		if s, err := c.AcceptStream(ctx); err == nil {
			io.Copy(s, s)
			s.Close()
		}
	}()
	c, err := near.Dial(ctx, "udp", address.String(), client)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := c.NewStream(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	s.SetReadContext(ctx)
	s.Write(bytes.Repeat([]byte{'q'}, 6000))
	s.CloseWrite()
	if n, err := io.Copy(io.Discard, s); n != 6000 {
		w.t.Errorf("%d bytes came back: %v", n, err)
	}
	c.Close()
	near.Close(ctx)
	far.Close(ctx)
}
