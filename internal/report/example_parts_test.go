package report

import (
	"net/netip"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/series"
	services "github.com/pcapwarden/pcapwarden/internal/service"
)

// overTime is a series of n bins in which every seventh lost something.
func overTime(n int, bin time.Duration) *series.Series {
	s := &series.Series{Start: begin, Bin: bin, DNSSilences: 3}
	for i := range n {
		var lost int64
		if i%7 == 3 {
			lost = int64(i % 3)
		}
		s.Packets, s.Bytes = append(s.Packets, int64(20+i%9)), append(s.Bytes, int64(14_000+i%9*2_000))
		s.Segments, s.Resent = append(s.Segments, 12), append(s.Resent, lost)
	}
	s.Handshakes = series.Histogram{
		N: 6, Min: 20 * ms, Median: 21_400 * time.Microsecond, P95: 24 * ms, Max: 24 * ms,
		Buckets: []series.Bucket{{From: 16_777_216, To: 25_165_824, N: 6}},
	}
	s.DNSAnswers = series.Histogram{
		N: 120, Min: 300 * time.Microsecond, Median: 900 * time.Microsecond, P95: 2 * ms, Max: 3 * time.Second,
		Buckets: []series.Bucket{{From: 262_144, To: 393_216, N: 20}, {From: 786_432, To: 1_048_576, N: 90}, {From: 2_147_483_648, To: 3_221_225_472, N: 10}},
	}
	return s
}

// wholePage is a page with every part.
func wholePage() Page {
	a, about := partnerTLS()
	a.Series = overTime(100, 125*ms)
	server := endpoint("10.40.1.4:443")
	return Page{
		Analysis: a, Case: about,
		Custody: &custody.Manifest{
			Schema:    custody.Schema,
			Identity:  custody.Identity{EvidenceID: "ev-6cqx7kd2", RootID: "ev-6cqx7kd2", Kind: custody.Original, Incident: about.Incident, Capture: about.Case, File: "uplink-01.cap"},
			Authority: custody.Authority{Profile: "partner-tls", PolicyHash: strings.Repeat("5e", 32), Mode: "standing", Reason: about.Reason, Owner: about.Owner, Approver: about.Approver, ValidTo: begin.AddDate(1, 0, 0)},
			Acquisition: custody.Acquisition{
				Session: about.Target + "/packetCaptures/" + about.Case, Started: about.Started, Stopped: after(13_000 * ms), StopReason: "time limit", Landed: after(14_000 * ms),
				Clock: custody.Clock{Local: after(15_000 * ms), Storage: after(15_012 * ms), SkewMS: -12}, Tool: custody.Tool{Name: "pcapwarden", Version: "1.4.0", Commit: "24b3415", SHA256: strings.Repeat("7a", 32), Go: "go1.26.8"},
			},
			Integrity:   custody.Integrity{Bytes: 48_211, SHA256: a.Capture.SHA256, BlockSize: 8 << 20, Blocks: []string{a.Capture.SHA256}, Merkle: strings.Repeat("c4", 32), Written: "0x8DD0A1", Verified: after(16_000 * ms)},
			Location:    custody.Location{Store: "vault", Name: "INC-4711/pw-0f3a9c12de-uplink-01/uplink-01.cap", LandedAt: "https://landingwe.blob.core.windows.net/captures/uplink-01.cap"},
			Disposition: custody.Disposition{DeleteAfter: about.DeleteAfter, Retention: "7d", Classification: "restricted"},
			Custody: []custody.Transfer{
				{Sequence: 1, At: after(-70_000 * ms), Actor: "Azure Monitor, upload-failures", Action: custody.Request, Outcome: "case opened"},
				{Sequence: 2, At: after(-70_000 * ms), Actor: "policy, profile partner-tls", Action: custody.Approve, Reason: about.Reason},
				{Sequence: 3, At: after(15_000 * ms), Actor: "pcapwarden", Action: custody.Promote, To: "vault/INC-4711/uplink-01.cap", Outcome: "done"},
				{Sequence: 4, At: after(16_000 * ms), Actor: "pcapwarden", Action: custody.Verify, Outcome: "hash is the same"},
			},
			Derived: []custody.Derived{{EvidenceID: "ev-aa", Kind: custody.Excerpt, Store: "reports", Name: "uplink-01-1.pcapng", Bytes: 2_104, SHA256: strings.Repeat("1b", 32), Transforms: []string{"payload cut to 0 bytes"}, Note: "addresses and names remain"}},
		},
		Context: &controlplane.Context{
			Machine: about.Target, Asked: after(60_000 * ms), Took: 4 * time.Second,
			Flows: []controlplane.Flow{{
				Finding: 0, Protocol: "tcp", Direction: controlplane.Inbound, Local: server, Remote: endpoint("203.0.113.9:50312"), Packets: controlplane.Passed,
				Interface: "/subscriptions/5b2f/resourceGroups/orbital-relay/providers/Microsoft.Network/networkInterfaces/uplink-01-nic",
				Access:    &controlplane.Access{Allowed: true, Rule: "allow-partner", Group: "/subscriptions/5b2f/resourceGroups/orbital-relay/providers/Microsoft.Network/networkSecurityGroups/uplink", By: controlplane.FlowVerify},
				NextHop:   &controlplane.Hop{Type: controlplane.HopInternet, RouteTable: "System Route"},
				Rules: []controlplane.Rule{
					{Name: "allow-partner", Group: "/x/uplink", At: "subnet", Direction: controlplane.Inbound, Allowed: true, Priority: 200, Protocol: "Tcp", Source: "203.0.113.0/28", Destination: "any", Ports: "443"},
					{Name: "DenyAllInBound", At: "subnet", Direction: controlplane.Inbound, Priority: 65500, Protocol: "All", Source: "any", Destination: "any", Ports: "any"},
				},
				Agreement:  controlplane.Agree,
				Sentence:   "the NSG allows 203.0.113.9 to 10.40.1.4:443 (rule allow-partner of uplink), and the handshake got through: neither rule nor route is at fault.",
				Confidence: &controlplane.Change{Before: .9, After: .95},
			}},
			Names: []controlplane.Name{{Address: netip.MustParseAddr("10.40.1.4"), Kind: controlplane.Machine, Name: "uplink-01"}, {Address: netip.MustParseAddr("203.0.113.9"), Kind: controlplane.PublicIP, Name: "partner-gw", Of: "contoso"}},
			Gaps:  []controlplane.Gap{{Question: "service tags", Reason: "not allowed: the identity lacks Microsoft.Network/locations/serviceTags/read"}},
		},
		Excerpts: []Excerpt{{Finding: 0, File: "reports/uplink-01-1.pcapng", SHA256: strings.Repeat("1b", 32), Packets: 14}},
	}
}

// incidentPages are a slow node, a case without a file, and two healthy nodes,
// one of which was captured to compare with.
func incidentPages() []Page {
	c := twoNodesAnalysed()
	page := func(name string, a *analysis.Analysis, baseline bool) Page {
		p := Page{Analysis: a, Case: About{
			Incident: "INC-9", Case: "pc-" + name, Target: "/subscriptions/5b2f7c1e/resourceGroups/hpc/providers/Microsoft.Compute/virtualMachines/" + name, Baseline: baseline,
			Alert: "job-start-delay", Severity: "Sev2", Fired: after(-30_000 * ms), WindowStart: after(-50_000 * ms), WindowEnd: after(-30_000 * ms), Profile: "dns-delay",
			Reason: "Jobs start slowly", Owner: "hpc-operations", Approver: "data-protection", DeleteAfter: begin.AddDate(0, 0, 7), Report: "pc-" + name + ".html",
		}}
		if a != nil {
			p.Custody = &custody.Manifest{Identity: custody.Identity{EvidenceID: "ev-" + name}, Integrity: custody.Integrity{SHA256: strings.Repeat("ab", 32), Verified: after(time.Hour)}}
		}
		return p
	}
	waiting := page("node-16", nil, false)
	waiting.Case.State = "capturing"
	other := c[0]
	other.Capture.File = "/captures/node-19.pcap"
	return []Page{page("node-18", &c[0], true), waiting, page("node-19", &other, false), page("node-17", &c[1], false)}
}

// hostileIncident has names made up to break what shows them, and more
// captures than a page shows.
func hostileIncident() []Page {
	var all []Page
	for i := range MaxIncident + 6 {
		a, about := hostile(20)
		for j, s := range attacks[:6] {
			a.Services = append(a.Services, services.Service{
				Protocol: services.TCP, Server: endpoint("10.0.0.6:443"), SNI: s, Spoken: "\x1b]0;tls", Connections: 9, Established: 9,
				Handshake: services.Spread{N: 9, Median: float64(10 + 400*i*j), Max: 9000},
			})
		}
		about.Target, about.Instance, about.Baseline = "/subscriptions/x/"+attacks[i%len(attacks)], attacks[(i+1)%len(attacks)], i == 3
		about.Report = []string{"javascript:alert(1)", "../other.html", "https://192.0.2.1/x.html", "fine.html"}[i%4]
		all = append(all, Page{Analysis: a, Case: about, Context: &controlplane.Context{Flows: []controlplane.Flow{{Sentence: attacks[i%len(attacks)], Finding: 99, Culprit: finding.Culprit(attacks[0])}}}})
	}
	return all
}
