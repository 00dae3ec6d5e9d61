package verdict

import (
	"net/netip"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// An explanation says that one finding is the reason for others, so that it
// leads and they follow.
type explanation struct {
	by      finding.Kind
	what    []finding.Kind
	among   relation
	because string
}

// A relation says between whom a finding explains another one.
type relation func(by, what finding.Finding) bool

// explanations form no circle: a test holds that.
var explanations = []explanation{
	{"traffic.scan", kinds("tcp.connect-refused", "tcp.connect-timeout", "tcp.half-open", "tcp.reset", "tcp.churn", "tcp.one-way", "icmp.unreachable", "tcp.port-reuse", "dns.failure"), sameClient,
		"what a scanner knocks at refuses, drops or ignores it: that is no fault"},
	{"tcp.half-open", kinds("tcp.connect-timeout"), floods,
		"a flood fills the server's queue, and SYNs of others get no answer"},

	{"dns.resolver-unreachable", kinds("dns.fallback", "dns.timeout", "dns.failure", "dns.slow", "icmp.unreachable", "app.slow-client", "app.slow-response"), sameResolver,
		"whoever asks a dead resolver first waits for it"},
	{"dns.failure", kinds("dns.fallback", "dns.timeout", "dns.slow"), noWorse, "an error is why the client turns elsewhere"},
	{"dns.timeout", kinds("dns.fallback"), sameServer, "silence is why the client turns elsewhere"},
	{"dns.slow", kinds("dns.fallback", "dns.timeout"), noWorse, "a late answer is why the client asks again, or elsewhere"},

	{"icmp.unreachable", kinds("tcp.connect-timeout", "tcp.one-way", "tcp.retransmission"), sameParties,
		"the ICMP error says why nobody answers"},
	{"icmp.ttl-exceeded", kinds("tcp.connect-timeout", "tcp.one-way", "tcp.retransmission"), sameParties,
		"packets that go in circles never arrive"},
	{"tcp.port-reuse", kinds("tcp.connect-timeout", "tcp.half-open"), sameParties,
		"a SYN from a port that is still in use somewhere gets no proper answer"},
	{"tcp.churn", kinds("tcp.port-reuse", "tcp.connect-timeout", "traffic.beacon"), sameParties,
		"whoever opens too many connections runs out of ports"},
	{"tcp.connect-refused", kinds("traffic.beacon", "tcp.churn", "tcp.port-reuse", "traffic.unexpected-destination"), sameParties,
		"a client that is refused tries again at its own pace"},
	{"tcp.connect-timeout", kinds("traffic.beacon", "traffic.unexpected-destination"), sameParties,
		"a client that is not heard tries again at its own pace"},

	{"tcp.one-way", kinds("tcp.retransmission", "tls.handshake-timeout", "tcp.connect-timeout", "tcp.half-open", "app.slow-response", "tcp.zero-window", "tcp.mtu-blackhole"), sameParties,
		"what is missing took another way"},

	{"icmp.fragmentation-needed", kinds("tcp.retransmission", "tls.handshake-timeout", "app.slow-response", "tcp.reset", "tcp.zero-window"), sameParties,
		"what is too large is dropped, and sent again"},
	{"tcp.mtu-blackhole", kinds("tcp.retransmission", "tls.handshake-timeout", "tls.handshake-reset", "app.slow-response", "app.slow-client", "tcp.reset", "icmp.fragmentation-needed"), sameParties,
		"what is too large is dropped, and sent again"},

	{"tcp.zero-window", kinds("tcp.retransmission", "app.slow-response", "app.slow-client", "tcp.reset"), sameParties,
		"a sender that may not send waits, and gives up"},

	{"tls.alert", kinds("tls.handshake-reset", "tls.certificate", "tls.old-version", "tcp.reset", "tls.handshake-timeout", "tcp.churn", "traffic.beacon"), sameParties,
		"the alert is the reason, the rest its consequence"},
	{"tls.handshake-reset", kinds("tls.certificate", "tls.old-version", "tcp.reset", "tcp.churn", "traffic.beacon"), sameParties,
		"who drops the handshake aborts the connection"},
	{"tls.handshake-timeout", kinds("tls.certificate", "tls.old-version"), sameParties,
		"a handshake that stops has the certificate for a possible reason"},

	{"tcp.retransmission", kinds("tcp.slow-handshake", "app.slow-response", "app.slow-client", "dns.timeout", "tls.handshake-timeout"), sameParties,
		"what is lost is late"},
	{"tcp.reset", kinds("tcp.retransmission", "tcp.connect-timeout", "app.slow-response", "tcp.churn"), abruptly,
		"what something in between has forgotten is sent again in vain"},
	{"traffic.beacon", kinds("app.slow-response", "app.slow-client"), doubtful, "an agent that calls in is answered when there is something to do"},
	{"app.slow-response", kinds("app.slow-client"), sameParties, "a client whose server is slow is slow"},
}

func kinds(all ...finding.Kind) []finding.Kind { return all }

// explains returns why a is the reason for b, or "".
func explains(a, b finding.Finding) string {
	for _, e := range explanations {
		if e.by == a.Kind && slices.Contains(e.what, b.Kind) && e.among(a, b) {
			return e.because
		}
	}
	return ""
}

// sameParties: nothing in the two flows contradicts that they are the same. A
// flow that leaves a side open stands for all.
func sameParties(a, b finding.Finding) bool {
	if a.Flow == nil || b.Flow == nil {
		return true
	}
	return alike(a.Flow.Client.Addr(), b.Flow.Client.Addr()) && alikeServer(a.Flow.Server, b.Flow.Server)
}

func sameServer(a, b finding.Finding) bool {
	return a.Flow == nil || b.Flow == nil || alikeServer(a.Flow.Server, b.Flow.Server)
}

func sameClient(a, b finding.Finding) bool {
	return a.Flow == nil || b.Flow == nil || alike(a.Flow.Client.Addr(), b.Flow.Client.Addr())
}

// sameResolver holds for what is about the resolver itself, and for whatever
// else its clients wait for.
func sameResolver(a, b finding.Finding) bool {
	if a.Flow == nil || b.Flow == nil {
		return false
	}
	switch b.Kind {
	case "app.slow-client", "app.slow-response":
		return alike(a.Flow.Client.Addr(), b.Flow.Client.Addr()) && b.Severity < a.Severity
	}
	return alike(a.Flow.Server.Addr(), b.Flow.Server.Addr())
}

// floods: the flood is not one of the many ordinary half-open connections.
func floods(a, b finding.Finding) bool { return flood(a) && sameServer(a, b) }

// noWorse: what is explained is not the greater evil.
func noWorse(a, b finding.Finding) bool { return a.Severity >= b.Severity && sameServer(a, b) }

// doubtful: what is explained is not sure to begin with.
func doubtful(a, b finding.Finding) bool { return b.Confidence < 0.7 && sameParties(a, b) }

// abruptly: the connection had been idle, so that the rest is its end.
func abruptly(a, b finding.Finding) bool { return idle(a) && sameParties(a, b) }

func alike(a, b netip.Addr) bool { return !a.IsValid() || !b.IsValid() || a == b }

func alikeServer(a, b finding.Endpoint) bool {
	if !alike(a.Addr(), b.Addr()) {
		return false
	}
	return a.Port() == 0 || b.Port() == 0 || a.Port() == b.Port()
}
