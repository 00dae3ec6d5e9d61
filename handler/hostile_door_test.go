package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestBackDoors is row H54: a function that is called past its trigger. The
// host wants its own key for that, and the handler, which checks no key, is
// not to be reached from outside.
func TestBackDoors(t *testing.T) {
	o := localOptions(t, "partner-tls")
	o.Settings["PCAPWARDEN_SWEEP_SCHEDULE"] = "0 0 0 1 1 *"
	s := startStand(t, o)
	for _, key := range []string{"", "guess", s.Host.FunctionKey()} {
		for _, name := range []string{"sweepcaptures", "analyzecapture", "startcaptures"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Host.URL()+"/admin/functions/"+name, strings.NewReader(`{"input":"{}"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("x-functions-key", key)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusUnauthorized {
				t.Errorf("/admin/functions/%s with key %q: %d, want 401", name, key, res.StatusCode)
			}
		}
	}
	// A page in a browser on the host reaches loopback, but not by that name.
	port := handlerPort(t, s)
	for _, host := range []string{"evil.example", "169.254.169.254"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:"+port+"/startcaptures", strings.NewReader(`{"Data":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("the handler answers %d for host %s", res.StatusCode, host)
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() || n.IP.IsLinkLocalUnicast() {
			continue
		}
		c, err := net.DialTimeout("tcp", net.JoinHostPort(n.IP.String(), port), time.Second)
		if err == nil {
			c.Close()
			t.Errorf("the handler listens on %s", n.IP)
		}
	}
	s.checkNothing(t)
}

// handlerPort is the port that the handler says it is ready on.
func handlerPort(t *testing.T, s *stand) string {
	t.Helper()
	return s.Host.HandlerURL()[strings.LastIndexByte(s.Host.HandlerURL(), ':')+1:]
}
