package beacon

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

func (s *state) end() {
	for k, g := range s.all.All {
		if all := beats(g.good); len(g.good) > 0 {
			if r, ok := regular(all); ok {
				s.report(k, g, all, r, 0)
			}
		}
		if all := beats(g.refused); len(g.refused) > 0 {
			if r, ok := regular(all); ok {
				s.report(k, g, all, r, len(g.refused))
			}
		}
	}
}

func (s *state) report(k key, g *series, all []call, r rhythm, refused int) {
	f := finding.Finding{
		Kind: "traffic.beacon", Culprit: finding.Client,
		Confidence: min(0.95, 0.35+0.45*r.score*float64(min(r.intervals, 20))/20+0.15*r.size),
		Flow: &finding.Flow{
			Protocol: k.protocol, Client: finding.Endpoint{AddrPort: netip.AddrPortFrom(k.client, 0)}, Server: finding.Endpoint{AddrPort: g.server}, SNI: k.name,
		},
		Detail: map[string]any{
			"intervalSeconds": round(r.interval.Seconds()), "intervals": r.intervals, "refused": refused,
			"spanSeconds": round(r.span.Seconds()), "score": round(r.score), "timeScore": round(r.time), "sizeScore": round(r.size), "service": g.service,
		},
	}
	every := detect.Span(r.interval.Round(10 * time.Millisecond))
	seen := fmt.Sprintf("%d intervals within %s", r.intervals, detect.Span(r.span.Round(time.Second)))
	server := g.server.String()
	if k.name != "" {
		f.Detail["name"] = k.name
		server = k.name
	}
	if refused > 0 {
		f.Detail["connections"] = refused
		f.Severity = finding.Low
		f.Summary = fmt.Sprintf("%s tries to connect to %s every %s and is refused each time (%d attempts, %s): an automatic client, not a person.",
			k.client, server, every, refused, seen)
	} else {
		f.Detail["connections"] = len(g.good)
		f.Severity = s.severity(k, g)
		f.Summary = fmt.Sprintf("%s opens a connection to %s every %s (%d connections, %s, evenness %.2f).",
			k.client, server, every, len(g.good), seen, r.score)
		switch {
		case g.payload == 0:
			f.Summary += " They carry nothing, as probes do."
		case g.service != "":
			f.Summary += fmt.Sprintf(" They speak %s.", g.service)
		default:
			f.Summary += " What they speak is not known."
		}
	}
	var t detect.Tally
	for _, b := range all {
		t.Add(b.at, b.frame)
	}
	if t.Count = len(g.good); refused > 0 {
		t.Count = refused
	}
	s.pass.Report(t.Into(f))
}

// severity of connections that are accepted: most of what is regular is
// polled on purpose.
func (s *state) severity(k key, g *series) finding.Severity {
	expected := slices.ContainsFunc(s.pass.ExpectedOutbound, func(p netip.Prefix) bool { return p.Contains(g.server.Addr()) })
	inside := local(k.client) && local(g.server.Addr())
	known := g.service != "" || k.protocol == "udp"
	switch {
	case g.payload == 0 || expected && s.pass.IsVantage(k.client) || inside && (known || slices.Contains(ordinary, g.server.Port())):
		return finding.Info
	case len(s.pass.ExpectedOutbound) > 0 && s.pass.IsVantage(k.client):
		return finding.Medium // to where the policy expects nothing
	case known:
		return finding.Low
	}
	return finding.Medium
}

// ordinary are ports of services that clients poll, and whose protocols are
// not read: SSH, RPC, SMB, SQL Server, Oracle, MQTT, MySQL, RDP, PostgreSQL,
// AMQP, Redis, Kafka, Elasticsearch, memcached, MongoDB.
var ordinary = []uint16{22, 135, 139, 445, 1433, 1521, 1883, 3306, 3389, 5432, 5671, 5672, 6379, 8883, 9092, 9200, 11211, 27017}

// local addresses belong to networks of one's own.
func local(a netip.Addr) bool { return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() }

func round(v float64) float64 { return math.Round(v*1000) / 1000 }
