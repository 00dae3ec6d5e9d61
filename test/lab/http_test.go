//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// site is a web server: /N answers with N bytes, after as long as the query
// says ("/100?3s"); what is posted is read.
func (h *host) site(address netip.AddrPort) {
	h.t.Helper()
	h.website(h.listen(address))
}

func (h *host) website(l net.Listener) {
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if think, err := time.ParseDuration(r.URL.RawQuery); err == nil {
			time.Sleep(think)
		}
		size, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		w.Write(bytes.Repeat([]byte("pcapwarden lab. "), size/16+1)[:size])
	})}
	go s.Serve(l)
	h.t.Cleanup(func() { s.Close() })
}

// browser is a web client. Its idle connections are closed when the
// experiment ends, while it is still captured.
func (h *host) browser(config *tls.Config) *http.Client {
	transport := &http.Transport{
		DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
			return h.dial(netip.MustParseAddrPort(address), 10*time.Second)
		},
		TLSClientConfig: config,
	}
	h.leave = append(h.leave, transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// fetch gets a page, which has to come.
func (h *host) fetch(c *http.Client, server netip.AddrPort, page string) {
	h.t.Helper()
	scheme := "http"
	if server.Port() == 443 {
		scheme = "https"
	}
	resp, err := c.Get(fmt.Sprintf("%s://%s/%s", scheme, server, page))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// post sends so many bytes, and waits for the answer until the deadline.
func (h *host) post(server netip.AddrPort, size int, patience time.Duration) error {
	c := h.connect(server)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "POST /16 HTTP/1.1\r\nHost: lab.example\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", size)
	if _, err := c.Write(bytes.Repeat([]byte("pcapwarden lab. "), size/16)); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
