package certificate

import (
	"fmt"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

type versionKey struct {
	server  netip.AddrPort
	version tls.Version
	agreed  bool
}

type versions struct {
	detect.Tally
	clients     clients
	flow        *finding.Flow
	offered     tls.Version
	established int
}

func (s *state) version(c *detect.Connection, t *tls.Session) {
	k := versionKey{server: c.ServerAddr()}
	var frame int64
	switch {
	case t.ServerHello != nil:
		k.version, k.agreed, frame = t.ServerHello.Version, true, t.ServerHello.Frame
	case t.Hello != nil && t.HelloRetry == nil:
		k.version, frame = t.Hello.MaxVersion(), t.Hello.Frame
	}
	if k.version == 0 || k.version >= tls.VersionTLS12 {
		return
	}
	g := s.versions.At(k)
	if g == nil {
		return
	}
	if g.flow == nil {
		g.flow = c.Flow()
	}
	if t.Hello != nil {
		g.offered = max(g.offered, t.Hello.MaxVersion())
	}
	if t.Stage() == tls.StageEstablished {
		g.established++
	}
	g.clients.add(c.ClientAddr().Addr())
	g.Add(c.First.Time, frame)
}

func oldVersion(k versionKey, g *versions) finding.Finding {
	f := finding.Finding{
		Kind: "tls.old-version", Severity: finding.Low, Confidence: 0.95, Culprit: finding.Client, Flow: flowOf(g.flow, g.clients, g.Count),
		Detail: map[string]any{
			"version": k.version.String(), "negotiated": k.agreed, "established": g.established, "clients": len(g.clients),
		},
	}
	source := retiredBy(k.version)
	if !k.agreed {
		f.Summary = fmt.Sprintf("%s offers %s at best to %s, which is out of use (%s).", who(g.clients, g.flow), k.version, k.server, source)
		return f
	}
	if g.established > 0 {
		f.Severity = finding.Medium
	}
	f.Summary = fmt.Sprintf("%s and %s agreed on %s in %s, which is out of use (%s).", who(g.clients, g.flow), k.server, k.version, detect.Count(g.Count, "handshake"), source)
	if g.offered > k.version {
		f.Culprit = finding.Server
		f.Detail["offered"] = g.offered.String()
		f.Summary += fmt.Sprintf(" The client offers %s, the server chose less.", g.offered)
	} else if g.offered != 0 {
		f.Summary += " The client offers nothing better."
	}
	return f
}

func retiredBy(v tls.Version) string {
	switch v {
	case tls.VersionSSL2:
		return "RFC 6176"
	case tls.VersionSSL3:
		return "RFC 7568"
	}
	return "RFC 8996"
}
