package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/service"
)

var begin = time.Date(2026, 3, 17, 2, 10, 5, 0, time.UTC)

// found reads "SEVERITY KIND CULPRIT CLIENT>SERVER [xCOUNT] [KEY=VALUE...]".
func found(t *testing.T, text string) finding.Finding {
	t.Helper()
	words := strings.Fields(text)
	f := finding.Finding{
		Kind: finding.Kind(words[1]), Confidence: 0.9, Culprit: finding.Culprit(words[2]), Count: 1, Packets: []int64{6, 8},
		First: begin, Last: begin.Add(40 * time.Second), Detail: map[string]any{}, NextStep: "Look at " + words[1] + ".",
		Summary: "What " + words[1] + " says. More of it.",
	}
	if err := f.Severity.UnmarshalText([]byte(words[0])); err != nil {
		t.Fatal(err)
	}
	if client, server, ok := strings.Cut(words[3], ">"); ok {
		f.Flow = &finding.Flow{Protocol: "tcp", Client: endpoint(t, client), Server: endpoint(t, server)}
	}
	for _, w := range words[4:] {
		key, value, ok := strings.Cut(w, "=")
		n, err := strconv.Atoi(strings.TrimPrefix(value, "x"))
		switch {
		case !ok:
			f.Count, _ = strconv.Atoi(strings.TrimPrefix(w, "x"))
		case key == "sure":
			f.Confidence, _ = strconv.ParseFloat(value, 64)
		case err == nil:
			f.Detail[key] = n
		case value == "true":
			f.Detail[key] = true
		default:
			f.Detail[key] = value
		}
	}
	return f
}

func endpoint(t *testing.T, text string) (e finding.Endpoint) {
	t.Helper()
	if err := e.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return e
}

// busy is a capture with ordinary traffic in it, 40 connections to each of
// two services.
func busy() Facts {
	f := Facts{
		Packets: 4000, First: begin.Add(-time.Minute), Last: begin.Add(4 * time.Minute),
		Connections: Connections{Seen: 80, Begun: 80, Established: 80, Answered: 80},
		TLS:         Outcome{40, 40}, Questions: Outcome{12, 12}, TCP: &flow.Counters{IRTT: &flow.Spread{N: 80, Median: 12}},
	}
	for _, addr := range []string{"10.0.0.4:443", "10.0.0.6:5432"} {
		f.Services = append(f.Services, service.Service{
			Protocol: service.TCP, Server: finding.Endpoint{AddrPort: netip.MustParseAddrPort(addr)}, Connections: 40, Established: 40, Answered: 40,
			Segments: [2]int64{2000, 2000},
		})
	}
	return f
}

// small is a capture of one connection that came about.
func small() Facts {
	f := busy()
	f.Packets, f.Connections, f.TLS, f.Questions = 40, Connections{Seen: 1, Begun: 1, Established: 1, Answered: 1}, Outcome{}, Outcome{}
	f.Services = f.Services[:1]
	f.Services[0].Connections, f.Services[0].Established, f.Services[0].Segments = 1, 1, [2]int64{4, 16}
	return f
}

func with(f Facts, change func(*Facts)) Facts {
	change(&f)
	return f
}

const (
	client = "10.0.0.9"
	web    = client + ">10.0.0.4:443 "
	db     = client + ">10.0.0.6:5432 "
	dead   = client + ">10.0.9.4:53 "
)

func TestJudge(t *testing.T) {
	tests := []struct {
		name     string
		facts    Facts
		findings []string
		want     string // CAUSE/CULPRIT
		says     []string
		not      []string
	}{
		// Health.
		{"all is well", busy(), nil, "healthy/none",
			[]string{"all 80 TCP connections were established", "median round trip 12 ms", "all 40 TLS handshakes", "all 12 DNS questions", "none of 8000 data segments was lost"}, nil},
		{"low noise is not a fault, and is mentioned", busy(), []string{"low tcp.retransmission network " + web + "x3"}, "healthy/none",
			[]string{"A small thing: What tcp.retransmission says."}, nil},
		{"information is not even mentioned", busy(), []string{"info tls.old-version client " + web}, "healthy/none", nil, []string{"small thing"}},
		{"a certificate that works is context", busy(), []string{"medium tls.certificate server " + web}, "healthy/none", nil, nil},

		// One fault within ordinary noise is still the fault.
		{"one refused of eighty", busy(), []string{"medium tcp.connect-refused server " + db}, "connect-refused/server",
			[]string{"All 40 connections to other services worked.", "packets 6 and 8", "from 02:10:05 to 02:10:45 UTC"}, nil},
		{"a small fault that is all there is", small(), []string{"low tcp.retransmission network " + web + "x3 connections=1 lost=3"}, "packet-loss/network", nil, nil},
		{"many small losses come to one", busy(), []string{
			"low tcp.retransmission network " + web + "x90 connections=2 lost=90", "low tcp.retransmission network " + db + "x90 connections=2 lost=90"}, "packet-loss/network", nil, nil},

		// Which fault leads.
		{"the graver one", busy(), []string{"high tcp.reset server " + web, "medium dns.slow resolver " + dead}, "reset/server",
			[]string{"Apart from that: What dns.slow says."}, nil},
		{"among equals, what is needed first", busy(), []string{"high tls.alert client " + web, "high tcp.connect-refused server " + db}, "connect-refused/server", nil, nil},
		{"but far more often counts more", busy(), []string{"high tls.alert client " + web + "x400", "high tcp.connect-refused server " + db}, "tls-rejected/client", nil, nil},
		{"several of a kind", busy(), []string{"high dns.resolver-unreachable resolver " + dead, "high dns.resolver-unreachable resolver 10.0.0.9>10.0.9.5:53"}, "dns-unreachable/resolver",
			[]string{"Likewise: "}, nil},

		// What explains what.
		{"a dead resolver explains the fallback", busy(), []string{"high dns.resolver-unreachable resolver " + dead + "fallbackTo=10.0.0.53", "medium dns.fallback resolver " + dead}, "dns-unreachable/resolver",
			nil, []string{"dns.fallback"}},
		{"ICMP about the resolver is the same story", busy(), []string{"high icmp.unreachable firewall " + dead, "high dns.resolver-unreachable firewall " + dead}, "dns-unreachable/firewall", nil, nil},
		{"a refused client that knocks evenly", busy(), []string{"high tcp.connect-refused server " + db + "x10", "low traffic.beacon client " + db + "x10"}, "connect-refused/server",
			[]string{"What traffic.beacon says."}, nil},
		{"even if the beacon weighs more", busy(), []string{"high traffic.beacon client " + db, "medium tcp.connect-refused server " + db}, "connect-refused/server", nil, nil},
		{"a scan is no broken service", busy(), []string{"high tcp.connect-refused server " + db + "x30", "high tcp.connect-timeout firewall 10.0.0.9>10.0.0.7", "medium traffic.scan client 10.0.0.9>"}, "suspicious/client", nil, nil},
		{"the refusals of others stay", busy(), []string{"high tcp.connect-refused server 10.0.0.8>10.0.0.6:5432", "medium traffic.scan client 10.0.0.9>"}, "connect-refused/server", nil, nil},
		{"ICMP says why nobody answers", busy(), []string{"high tcp.connect-timeout firewall " + db, "high icmp.unreachable firewall " + db}, "icmp-unreachable/firewall", nil, nil},
		{"ports that come round too early", busy(), []string{"high tcp.connect-timeout firewall " + db, "medium tcp.port-reuse client " + db}, "connection-churn/client", nil, nil},
		{"large packets vanish", busy(), []string{"high tcp.retransmission network " + web, "high tcp.mtu-blackhole network " + web, "high tls.handshake-timeout server " + web}, "mtu-blackhole/network", nil, nil},
		{"a receiver that does not read", busy(), []string{"high tcp.retransmission network " + web, "medium tcp.zero-window client " + web, "high tcp.reset client " + web}, "receiver-stalled/client", nil, nil},
		{"what was forgotten is reset", busy(), []string{"medium tcp.reset firewall " + web + "how=idle-timeout", "high tcp.retransmission network " + web}, "idle-timeout/firewall", nil, nil},
		{"loss makes handshakes slow", busy(), []string{"medium tcp.slow-handshake network " + web, "medium tcp.retransmission network " + web}, "packet-loss/network", nil, nil},
		{"an expired certificate is why", busy(), []string{"high tls.alert client " + web, "high tls.certificate server " + web}, "tls-rejected/client", []string{"What tls.certificate says."}, nil},
		{"another service is another story", busy(), []string{"high tcp.retransmission network " + web, "medium tcp.zero-window client " + db}, "packet-loss/network", []string{"Apart from that: What tcp.zero-window says."}, nil},
		{"an explanation that weighs less does not hide", busy(), []string{"high dns.timeout resolver " + dead + "x9 questions=20 unanswered=9", "medium dns.slow resolver " + dead}, "slow-dns/resolver", []string{"What dns.timeout says."}, nil},

		// One kind, several causes.
		{"late packets are not lost", busy(), []string{"medium tcp.retransmission network " + web + "cause=reordering"}, "reordering/network", nil, nil},
		{"a flood is not a route", busy(), []string{"high tcp.half-open client " + web + "flood=true"}, "suspicious/client", nil, nil},
		{"a SYN-ACK that is lost is", busy(), []string{"medium tcp.half-open network " + web}, "connect-blocked/network", nil, nil},
		{"a box in the middle of the handshake", busy(), []string{"high tcp.reset middlebox " + web + "phase=after_client_hello"}, "tls-rejected/middlebox", nil, nil},
		{"a resolver that answered nothing it was asked", busy(), []string{"medium dns.timeout resolver " + dead + "questions=2 unanswered=2"}, "dns-unreachable/resolver", nil, nil},
		{"names that nobody resolved", busy(), []string{"medium dns.timeout resolver " + dead + "x4 questions=20 unanswered=4 lost=4"}, "dns-failure/resolver", nil, nil},

		// What works, and should not.
		{"nothing is broken: the beacon leads", busy(), []string{"medium traffic.beacon client " + web, "low tcp.reset client " + db}, "suspicious/client", nil, nil},
		{"a password in the clear is last", busy(), []string{"high exposure.cleartext-credentials server " + web, "medium traffic.unexpected-destination client " + db}, "suspicious/client", nil, nil},
		{"and leads alone", busy(), []string{"medium exposure.cleartext-credentials server " + web}, "exposure/server", nil, nil},

		// What the capture can't show.
		{"nothing at all", Facts{}, nil, "no-traffic/unknown", []string{"The capture is empty"}, nil},
		{"nothing that the filters let through", with(Facts{}, func(f *Facts) { f.Filtered = true }), []string{"medium capture.no-traffic capture -"}, "no-traffic/unknown", []string{"filters"}, nil},
		{"a damaged file", Facts{}, []string{"medium capture.cut-short capture -"}, "inconclusive/capture", []string{"No packet can be read"}, nil},
		{"over before it began", with(busy(), func(f *Facts) { f.WindowStart = f.Last.Add(time.Hour) }), []string{"high tcp.connect-refused server " + web}, "inconclusive/capture",
			[]string{"60 min before the incident began"}, nil},
		{"begun after it, and nothing since", with(small(), func(f *Facts) { f.WindowStart = f.First.Add(-time.Minute) }), nil, "inconclusive/capture", []string{"60 s after the incident"}, nil},
		{"an alert measures the time before the capture", with(busy(), func(f *Facts) { f.WindowStart, f.WindowEnd = f.First.Add(-6*time.Minute), f.First.Add(-time.Minute) }), nil, "healthy/none",
			[]string{"began 60 s after the time that the alert measured"}, nil},
		{"full at once", with(small(), func(f *Facts) { f.Last = f.First.Add(30 * time.Millisecond) }), []string{"low capture.limit-reached capture -"}, "inconclusive/capture", []string{"a moment of 30 ms"}, nil},
		{"full in the end", busy(), []string{"low capture.limit-reached capture -"}, "healthy/none", nil, nil},
		{"no ports in 34 bytes", Facts{Packets: 505, Truncated: 505, ShortestCut: 34}, []string{"high capture.truncated capture -"}, "inconclusive/capture", []string{"cut to 34 bytes"}, nil},
		{"only ARP", Facts{Packets: 3}, nil, "inconclusive/unknown", []string{"3 packets, none of them of TCP, UDP or ICMP"}, nil},
		{"an unknown link type", Facts{Packets: 3, Unreadable: 3, LinkTypes: "linktype-195"}, nil, "inconclusive/capture", []string{"3 packets of linktype-195"}, nil},
		{"nothing worked and nothing failed", Facts{Packets: 2, Connections: Connections{Seen: 1, Begun: 1}}, nil, "inconclusive/unknown", nil, nil},
		{"frames twice are no loss", busy(), []string{"high tcp.retransmission network " + web, "low capture.duplicated capture -"}, "healthy/none",
			[]string{"holds packets twice"}, []string{"data segments"}},
		{"what the capture missed may have arrived", busy(), []string{"medium tcp.retransmission network " + web, "medium capture.loss capture -"}, "inconclusive/capture", nil, nil},
		{"but a refusal stands", busy(), []string{"high tcp.connect-refused server " + web, "medium capture.loss capture -"}, "connect-refused/server", nil, nil},
		{"a filter makes one-way traffic", with(busy(), func(f *Facts) { f.Filtered = true }), []string{"medium tcp.one-way network " + web}, "healthy/none", []string{"filters"}, nil},
		{"without one it is the route", busy(), []string{"medium tcp.one-way network " + web}, "asymmetric/network", nil, nil},
		{"failures that nothing explains are not health", with(small(), func(f *Facts) {
			f.Connections.Seen, f.Connections.Begun = 3, 3
			f.Services[0].Failures = map[finding.Kind]int{"tcp.connect-timeout": 2}
		}), nil, "inconclusive/unknown", []string{"2 of 3 connection attempts failed"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var all []finding.Finding
			for _, text := range tt.findings {
				all = append(all, found(t, text))
			}
			slices.SortStableFunc(all, func(a, b finding.Finding) int { return int(b.Severity) - int(a.Severity) })
			v := Judge(all, tt.facts)
			if got := fmt.Sprintf("%s/%s", v.Cause, v.Culprit); got != tt.want {
				t.Errorf("%s, want %s\n%s", got, tt.want, v.Summary)
			}
			for _, s := range tt.says {
				if !strings.Contains(v.Summary, s) {
					t.Errorf("it does not say %q:\n%s", s, v.Summary)
				}
			}
			for _, s := range tt.not {
				if strings.Contains(v.Summary, s) {
					t.Errorf("it says %q:\n%s", s, v.Summary)
				}
			}
			checkForm(t, v, all)
		})
	}
}

// checkForm holds what is true of every verdict.
func checkForm(t *testing.T, v Verdict, all []finding.Finding) {
	t.Helper()
	if n := len(sentences(v.Summary)); n > most+1 || v.Summary == "" {
		t.Errorf("%d sentences:\n%s", n, v.Summary)
	}
	if v.NextStep == "" {
		t.Error("no next step")
	}
	if v.Confidence <= 0 || v.Confidence > 0.97 {
		t.Errorf("confidence %v", v.Confidence)
	}
	if v.Findings == nil {
		t.Error("findings is nil")
	}
	for _, i := range v.Findings {
		if i < 0 || i >= len(all) {
			t.Errorf("finding %d of %d", i, len(all))
		}
	}
}

// TestConfidence: a flaw of the capture, a small fault and a part that was left
// out make a verdict less sure.
func TestConfidence(t *testing.T) {
	refused := []finding.Finding{found(t, "high tcp.connect-timeout firewall "+web)}
	sure := Judge(refused, busy()).Confidence
	flawed := append(slices.Clone(refused), found(t, "medium capture.loss capture -"))
	if v := Judge(flawed, busy()); v.Confidence >= sure || !strings.Contains(v.Summary, "missed packets") {
		t.Errorf("%v with a capture that lost packets, %v without\n%s", v.Confidence, sure, v.Summary)
	}
	if v := Judge(refused, with(busy(), func(f *Facts) { f.LimitHit = true })); v.Confidence >= sure {
		t.Errorf("%v with a limit hit, %v without", v.Confidence, sure)
	}
}

// TestWhose: whether the captured machine started it is said where somebody
// will ask, and with the filters in mind.
func TestWhose(t *testing.T) {
	heartbeat := []finding.Finding{found(t, "high tcp.connect-refused server "+db+"x10"), found(t, "low traffic.beacon client "+db+"x10")}
	machine := Vantage{Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.6")}, Accepted: 13}
	facts := with(busy(), func(f *Facts) { f.Vantage, f.Filtered = machine, true })
	if s := Judge(heartbeat, facts).Summary; !strings.Contains(s, "The captured machine 10.0.0.6 opened no connection of its own that the capture's filters let through.") {
		t.Error(s)
	}
	facts.Vantage.Opened, facts.Filtered = 2, false
	if s := Judge(heartbeat, facts).Summary; !strings.Contains(s, "The captured machine 10.0.0.6 opened 2 connections of its own.") {
		t.Error(s)
	}
	reset := []finding.Finding{found(t, "high tcp.reset server "+db)}
	if s := Judge(reset, facts).Summary; strings.Contains(s, "captured machine") {
		t.Error(s)
	}
}

// TestSYNsArrived: seen from the server, it is the server that is silent.
func TestSYNsArrived(t *testing.T) {
	silent := []finding.Finding{found(t, "high tcp.connect-timeout firewall "+db)}
	facts := with(busy(), func(f *Facts) {
		f.Vantage = Vantage{Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.6")}, Inferred: true, Because: "it takes part in all 80 conversations"}
	})
	if v := Judge(silent, facts); v.Culprit != finding.Server || !strings.Contains(v.Summary, "The SYNs reached 10.0.0.6") {
		t.Errorf("%s: %s", v.Culprit, v.Summary)
	}
}

// TestNextStep: the case says more than the kind.
func TestNextStep(t *testing.T) {
	for _, tt := range []struct{ name, finding, says string }{
		{"a box", "high tcp.reset middlebox " + web + "otherMachine=true", "between 10.0.0.9 and 10.0.0.4:443 that made this RST"},
		{"a server", "high tcp.reset server " + web, "application log of 10.0.0.4:443"},
		{"an idle connection", "high tcp.reset middlebox " + web + "how=idle-timeout", "Look at tcp.reset."},
		{"silence, seen from the client", "high tcp.connect-timeout firewall " + web, "effective routes of both NICs for 10.0.0.9 to 10.0.0.4:443"},
		{"silence, seen from the server", "high tcp.connect-timeout server " + web, "Look at tcp.connect-timeout."},
		{"ports that were used before", "high tcp.connect-timeout firewall " + web + "reusedPorts=5", "SNAT ports"},
		{"many clients", "high tcp.half-open network >10.0.0.4:443", "back to the client"},
		{"a name that does not exist", "medium dns.failure client " + dead + "rcode=NXDOMAIN", "typing error"},
		{"anything else", "high tls.alert client " + web, "Look at tls.alert."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if v := Judge([]finding.Finding{found(t, tt.finding)}, busy()); !strings.Contains(v.NextStep, tt.says) {
				t.Errorf("it does not say %q: %s", tt.says, v.NextStep)
			}
		})
	}
}

// TestExplanationsEnd: nothing explains itself, over however many steps, and
// every kind that explains can lead.
func TestExplanationsEnd(t *testing.T) {
	why := map[finding.Kind][]finding.Kind{}
	for _, e := range explanations {
		why[e.by] = append(why[e.by], e.what...)
		if e.because == "" {
			t.Errorf("%s: no reason", e.by)
		}
		if !slices.ContainsFunc(readings, func(r reading) bool { return r.kind == e.by }) {
			t.Errorf("%s explains and can't lead", e.by)
		}
	}
	var visit func(k finding.Kind, path []finding.Kind)
	visit = func(k finding.Kind, path []finding.Kind) {
		if slices.Contains(path, k) {
			t.Fatalf("a circle: %v", append(path, k))
		}
		for _, next := range why[k] {
			visit(next, append(slices.Clone(path), k))
		}
	}
	for k := range why {
		visit(k, nil)
	}
}

// TestReadings: each cause of the contract is reached, or is one of those that
// no finding leads to.
func TestReadings(t *testing.T) {
	causes := []Cause{Healthy, NoTraffic, Inconclusive}
	for _, r := range readings {
		causes = append(causes, r.cause)
		if r.because == "" {
			t.Errorf("%s: no reason", r.kind)
		}
	}
	for _, c := range []Cause{
		ConnectBlocked, ConnectRefused, Reset, IdleTimeout, TLSRejected, DNSUnreachable, DNSFailure, SlowDNS, PacketLoss, Reordering, ReceiverStalled,
		SlowServer, SlowNetwork, SlowClient, MTUBlackhole, Asymmetric, ICMPUnreachable, ConnectionChurn, Suspicious, Exposure,
	} {
		if !slices.Contains(causes, c) {
			t.Errorf("nothing leads to %s", c)
		}
	}
}

func TestSentences(t *testing.T) {
	for text, want := range map[string][]string{
		"One.":                               {"One."},
		"One. Two 10.0.0.4. 3 more.":         {"One.", "Two 10.0.0.4.", "3 more."},
		"asked 10.0.0.4:53 first. it is one": {"asked 10.0.0.4:53 first. it is one"},
	} {
		if got := sentences(text); !slices.Equal(got, want) {
			t.Errorf("sentences(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestPart(t *testing.T) {
	for _, tt := range []struct {
		n, all int
		want   string
	}{{1, 1, "the only connection"}, {2, 2, "both connections"}, {3, 3, "all 3 connections"}, {0, 1, "0 of 1 connection"}, {3, 40, "3 of 40 connections"}} {
		if got := part(tt.n, tt.all, "connection"); got != tt.want {
			t.Errorf("part(%d, %d) = %q, want %q", tt.n, tt.all, got, tt.want)
		}
	}
}
