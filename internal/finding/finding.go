// Package finding defines what a detector reports about a capture.
package finding

import (
	"net/netip"
	"time"
)

// Kind names what was found, as "subject.what". The list is a contract.
type Kind string

// A Culprit is the party at fault.
type Culprit string

// The culprits.
const (
	Client    Culprit = "client"
	Server    Culprit = "server"
	Network   Culprit = "network"
	Resolver  Culprit = "resolver"
	Firewall  Culprit = "firewall"
	Middlebox Culprit = "middlebox"
	Capture   Culprit = "capture" // the capture itself, not the traffic
	None      Culprit = "none"
	Unknown   Culprit = "unknown"
)

// MaxPackets is how many frame numbers a finding names at most.
const MaxPackets = 20

// A Finding is one thing that a detector saw, with its proof. It never holds
// payload, credentials, cookies or SAS; names that came from packets are kept
// as they were and made harmless by whoever prints them.
type Finding struct {
	Kind       Kind           `json:"kind"`
	Severity   Severity       `json:"severity"`
	Confidence float64        `json:"confidence"` // 0 to 1
	Summary    string         `json:"summary"`
	Culprit    Culprit        `json:"culprit"`
	Count      int            `json:"count"`
	First      time.Time      `json:"first,omitzero"`
	Last       time.Time      `json:"last,omitzero"`
	Flow       *Flow          `json:"flow,omitempty"`
	Packets    []int64        `json:"packets"` // frame numbers, from 1, at most MaxPackets
	Detail     map[string]any `json:"detail,omitempty"`
	NextStep   string         `json:"nextStep"`
}

// A Flow names the conversation that a finding is about.
type Flow struct {
	Protocol string   `json:"protocol"` // tcp, udp, icmp
	Client   Endpoint `json:"client,omitzero"`
	Server   Endpoint `json:"server,omitzero"`
	SNI      string   `json:"sni,omitempty"`
}

// An Endpoint is an address with a port, or without one where the port is 0.
type Endpoint struct{ netip.AddrPort }

// MarshalText writes "10.0.0.4:443", "[2001:db8::1]:443", or the address alone.
func (e Endpoint) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (e *Endpoint) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "" {
		*e = Endpoint{}
		return nil
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		e.AddrPort = ap
		return nil
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return err
	}
	e.AddrPort = netip.AddrPortFrom(addr, 0)
	return nil
}

// String is the text of MarshalText.
func (e Endpoint) String() string {
	switch {
	case !e.Addr().IsValid():
		return ""
	case e.Port() == 0:
		return e.Addr().String()
	}
	return e.AddrPort.String()
}

// IsZero reports whether e names nothing.
func (e Endpoint) IsZero() bool { return !e.Addr().IsValid() }
