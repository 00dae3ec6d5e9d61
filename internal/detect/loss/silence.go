package loss

import (
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// silence are connections of the same parties in which one side stopped
// answering.
type silence struct {
	detect.Case
	of       int // connections of the same parties
	byClient int
	retries  int           // the most
	took     time.Duration // the longest
	shortest time.Duration
	size     int
}

func (m *silence) keep(c *detect.Connection, by flow.Direction, retries int, took time.Duration, size int) {
	if by == c.ClientSide {
		m.byClient++
	}
	if m.shortest == 0 || took < m.shortest {
		m.shortest = took
	}
	m.retries, m.took, m.size = max(m.retries, retries), max(m.took, took), max(m.size, size)
}

// Join takes over another pair's silence.
func (m *silence) Join(o *silence) {
	m.Merge(&o.Case)
	m.of += o.of
	m.byClient += o.byClient
	if o.shortest < m.shortest {
		m.shortest = o.shortest
	}
	m.retries, m.took, m.size = max(m.retries, o.retries), max(m.took, o.took), max(m.size, o.size)
}

func (m *silence) sides() (by, mute string) {
	if 2*m.byClient >= m.Count {
		return "client", "server"
	}
	return "server", "client"
}

func (m *silence) severity() finding.Severity {
	switch {
	case 10*m.Count >= m.of:
		return finding.High
	case 100*m.Count >= m.of:
		return finding.Medium
	}
	return finding.Low
}

func (m *silence) noAnswer() finding.Finding {
	by, mute := m.sides()
	return finding.Finding{
		Kind: "tcp.retransmission", Severity: m.severity(), Confidence: 0.75, Culprit: finding.Network, Flow: m.Flow(),
		Summary: fmt.Sprintf("In %s from %s the %s fell silent: the %s sent the same %s again up to %d times over %s and got no acknowledgement, since %s.",
			detect.OutOf(m.Count, m.of, "connection"), m.Parties(), mute, by, detect.Count(m.size, "byte"), m.retries, detect.Span(m.took), detect.Clock(m.First)),
		Detail: map[string]any{
			"cause": "no-answer", "retries": m.retries, "seconds": detect.Seconds(m.took), "bytes": m.size, "by": by, "connections": m.Count, "of": m.of,
		},
		NextStep: fmt.Sprintf("See whether the %s is still there (reboot, crash, address change), and whether a route, an NSG or a firewall on the way changed at this time.", mute),
	}
}

func (m *silence) idleTimeout() finding.Finding {
	by, mute := m.sides()
	f := finding.Finding{
		Kind: "tcp.retransmission", Severity: m.severity(), Confidence: 0.7, Culprit: finding.Firewall, Flow: m.Flow(),
		Summary: fmt.Sprintf("%s from %s had worked and were silent for %s; what the %s sent then was sent again up to %d times and the %s never answered. Something in between dropped the idle connection.",
			detect.Begin(detect.OutOf(m.Count, m.of, "connection")), m.Parties(), detect.Span(m.took), by, m.retries, mute),
		Detail: map[string]any{
			"cause": "idle-timeout", "idleSeconds": detect.Seconds(m.took), "retries": m.retries, "by": by, "connections": m.Count, "of": m.of,
		},
		NextStep: "Compare the silence with the idle timeouts of the load balancer, NAT gateway and firewalls on the way (Azure: 4 minutes unless set), and turn on TCP keep-alives below that.",
	}
	if m.shortest >= 30*time.Second {
		f.Confidence = 0.85
	}
	if m.Count == 1 {
		f.Summary = fmt.Sprintf("%s from %s had worked and was silent for %s; what the %s sent then was sent again %d times and the %s never answered. Something in between dropped the idle connection.",
			detect.Begin(detect.OutOf(1, m.of, "connection")), m.Parties(), detect.Span(m.took), by, m.retries, mute)
	}
	return f
}
