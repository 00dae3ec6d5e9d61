package verdict

import (
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/service"
)

// A reading says what a kind of finding comes to when nothing explains it
// away. Findings of kinds that are not listed never lead: they are context.
type reading struct {
	kind    finding.Kind
	cause   Cause
	when    *condition // nil: always
	because string
}

// A condition looks at the details of a finding.
type condition struct {
	words string
	holds func(finding.Finding, *Facts) bool
}

// readings are in the order in which a conversation needs things: the name
// first, then a connection, then TLS, then packets that arrive, then answers.
// What fails earlier leads among findings that matter equally. Of two lines
// about a kind the first that applies counts.
var readings = []reading{
	{"dns.resolver-unreachable", DNSUnreachable, nil, "without a name there is no address to connect to"},
	{"dns.failure", DNSFailure, nil, "an error instead of an address ends it before it began"},
	{"dns.timeout", DNSUnreachable, &condition{"it answered none of its questions", unanswered}, "a resolver that answers none of its questions is not there"},
	{"dns.timeout", DNSFailure, &condition{"half of the names were never resolved", lost}, "names were never resolved"},
	{"dns.timeout", SlowDNS, nil, "a question that is asked again is answered late"},
	{"dns.fallback", DNSUnreachable, &condition{"the first resolver did not answer at all", silent}, "the first resolver is not there, and every name waits for it"},
	{"dns.fallback", DNSFailure, nil, "the first resolver answers with errors"},
	{"dns.slow", SlowDNS, nil, "answers come, late"},

	{"icmp.unreachable", ICMPUnreachable, nil, "somebody says in plain words that the way is closed"},
	{"tcp.connect-refused", ConnectRefused, nil, "a RST is an answer: the way is open, the port is not"},
	{"tcp.half-open", Suspicious, &condition{"of a flood", aFlood}, "SYNs from many addresses that never go on are a flood"},
	{"tcp.connect-timeout", ConnectBlocked, nil, "somebody drops the SYN or its answer"},
	{"tcp.half-open", ConnectBlocked, nil, "the SYN-ACK is lost on its way back"},
	{"icmp.ttl-exceeded", ICMPUnreachable, nil, "packets go in circles"},

	{"tls.alert", TLSRejected, nil, "the handshake ended with a reason"},
	{"tls.handshake-reset", TLSRejected, nil, "the handshake ended without one"},
	{"tls.handshake-timeout", TLSRejected, nil, "the handshake stopped, and nothing explains the silence"},

	{"tcp.mtu-blackhole", MTUBlackhole, nil, "large packets vanish and small ones pass"},
	{"icmp.fragmentation-needed", MTUBlackhole, nil, "the sender was told, and did not send smaller ones"},
	{"tcp.one-way", Asymmetric, nil, "one direction is elsewhere"},
	{"tcp.zero-window", ReceiverStalled, nil, "the receiver's buffer is full: its program does not read"},
	{"tcp.retransmission", IdleTimeout, &condition{"after a silence", wasIdle}, "it worked, was silent, and something in between forgot it"},
	{"tcp.retransmission", Reordering, &condition{"reordering", overtaken}, "late packets are in the way, and hardly any is lost"},
	{"tcp.retransmission", PacketLoss, nil, "packets were sent and did not arrive"},

	{"tcp.reset", TLSRejected, &condition{"during the TLS handshake", handshaking}, "the connection was aborted in the middle of the TLS handshake"},
	{"tcp.reset", IdleTimeout, &condition{"after a silence", wasIdle}, "it worked, was silent, and something in between forgot it"},
	{"tcp.reset", Reset, nil, "an open connection was aborted"},
	{"app.slow-response", SlowServer, nil, "the request was acknowledged at once, and the answer took its time"},
	{"app.slow-client", SlowClient, nil, "the connection stood, and the client took its time"},
	{"tcp.slow-handshake", SlowNetwork, nil, "the kernel answers SYNs: what is late is the way"},
	{"tcp.churn", ConnectionChurn, nil, "connections cost more than what they carry"},
	{"tcp.port-reuse", ConnectionChurn, nil, "ports come round again before their time"},

	{"traffic.scan", Suspicious, nil, "nobody uses so many ports or hosts"},
	{"traffic.unexpected-destination", Suspicious, nil, "the policy does not expect it"},
	{"traffic.beacon", Suspicious, nil, "a machine's rhythm, and nobody said whose"},
	{"exposure.cleartext-credentials", Exposure, nil, "it works, and anybody on the way can read the password"},
}

// broken reports whether the cause is a fault: what is suspicious or exposed
// works, and leads only where nothing is broken.
func broken(c Cause) bool { return c != Suspicious && c != Exposure }

// rank returns the first reading that applies to f, and its place.
func (c *court) rank(f finding.Finding) (int, bool) {
	for i, r := range readings {
		if r.kind == f.Kind && (r.when == nil || r.when.holds(f, c.facts)) {
			return i, true
		}
	}
	return 0, false
}

func aFlood(f finding.Finding, _ *Facts) bool { return flood(f) }

func flood(f finding.Finding) bool { return f.Detail["flood"] == true }

// unanswered: a resolver that was asked too little to be called dead.
func unanswered(f finding.Finding, _ *Facts) bool {
	n, ok := number(f, "unanswered")
	all, known := number(f, "questions")
	return ok && known && n > 0 && n == all
}

// lost: half of the questions without an answer were never answered by anybody.
func lost(f finding.Finding, _ *Facts) bool {
	names, _ := number(f, "lost")
	return names > 0 && 2*int(names) >= f.Count
}

// silent: the first resolver gave no answer, not even an error.
func silent(f finding.Finding, _ *Facts) bool {
	_, answered := f.Detail["rcode"]
	return !answered
}

func wasIdle(f finding.Finding, _ *Facts) bool { return idle(f) }

// idle: the connection worked, was silent, and did not go on.
func idle(f finding.Finding) bool {
	return f.Detail["how"] == "idle-timeout" || f.Detail["cause"] == "idle-timeout"
}

// handshaking: the RST came while TLS was being negotiated; maybe after a part
// of the ClientHello, which may be too long for one packet.
func handshaking(f finding.Finding, facts *Facts) bool {
	switch f.Detail["phase"] {
	case "after_client_hello", "after_certificate":
		return true
	case "after_client_data":
		return f.Flow != nil && slices.ContainsFunc(facts.Services, func(s service.Service) bool {
			return s.Server == f.Flow.Server && s.Spoken == "tls" && s.Answered == 0
		})
	}
	return false
}

func overtaken(f finding.Finding, _ *Facts) bool { return f.Detail["cause"] == "reordering" }

// number reads a number out of a finding's details, whatever its type.
func number(f finding.Finding, key string) (float64, bool) {
	switch v := f.Detail[key].(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint32:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
