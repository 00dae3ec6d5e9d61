package verdict

import (
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// An advice is what to look at next where the case says more than the kind of
// the finding.
type advice struct {
	kind finding.Kind
	when func(finding.Finding, *Facts) bool
	text string
}

// advices: the first that applies counts; else the finding's own next step.
var advices = []advice{
	{"tcp.reset", wasIdle, ""},
	{"tcp.reset", byAnother, "Find the firewall, proxy or load balancer between {client} and {server} that made this RST; its log for this time names the rule."},
	{"tcp.reset", byServer, "Look at the application log of {server} for this time: a crash, a limit, a full queue; the NSG and the routes are not at fault, the request arrived."},
	{"tcp.half-open", notFlood, "Check the way from {server} back to {client}: the effective routes of the server's NIC (a UDR that sends the answer another way), NSG rules, and a stateful firewall " +
		"that saw one direction only. Capture at {client} at the same time."},
	{"tcp.connect-timeout", reused, "Look at the SNAT ports of the load balancer, NAT gateway or firewall that {client} goes out by (metric: SNAT connection count, failed): reused ports go unanswered."},
	{"tcp.connect-timeout", fromClient, "Check the effective security rules (NSG) and the effective routes of both NICs for {client} to {server}, then the firewalls in between. " +
		"Capture at {server} at the same time: if the SYNs arrive there, it is the host's own firewall or a full accept queue."},
	{"icmp.unreachable", byFirewall, "Find the rule in the firewall, NVA or NSG that sends this ICMP message, at the address that it comes from, and allow {client} to {server} if it is meant to be."},
	{"dns.failure", missing, "Ask whose setting names it: a typing error, a service that was removed, or a private zone that is not linked to the virtual network of {client}."},
	{"dns.failure", truncated, "Allow TCP to port 53 of the resolver for {client} (NSG, firewall), and see whether its resolver library asks again by TCP at all; or have the answer made smaller."},
	{"dns.fallback", always, "Remove or mend the first resolver: the DNS servers of the virtual network and of the NIC, then what {client} really uses (resolv.conf, ipconfig /all); renew the DHCP lease."},
}

// nextStep is what whoever is on call looks at next.
func (c *court) nextStep(f finding.Finding) string {
	if f.Flow == nil {
		return f.NextStep
	}
	client, server := "the client", "the server"
	if !f.Flow.Client.IsZero() {
		client = f.Flow.Client.Addr().String()
	}
	if !f.Flow.Server.IsZero() {
		server = f.Flow.Server.String()
	}
	for _, a := range advices {
		if a.kind != f.Kind || !a.when(f, c.facts) {
			continue
		}
		if a.text == "" {
			break
		}
		return strings.NewReplacer("{client}", client, "{server}", server).Replace(a.text)
	}
	return f.NextStep
}

func always(finding.Finding, *Facts) bool { return true }

func byAnother(f finding.Finding, _ *Facts) bool {
	return f.Detail["otherMachine"] == true || f.Culprit == finding.Middlebox || f.Culprit == finding.Firewall
}

func byServer(f finding.Finding, _ *Facts) bool { return f.Culprit == finding.Server }

func byFirewall(f finding.Finding, _ *Facts) bool { return f.Culprit == finding.Firewall }

func notFlood(f finding.Finding, _ *Facts) bool { return !flood(f) }

func reused(f finding.Finding, _ *Facts) bool {
	n, _ := number(f, "reusedPorts")
	return n > 0 || f.Detail["reusedPorts"] == true
}

// fromClient: whether the SYNs arrived is not known.
func fromClient(f finding.Finding, facts *Facts) bool {
	return f.Culprit != finding.Server && !facts.Vantage.Is(f.Flow.Server.Addr())
}

func missing(f finding.Finding, _ *Facts) bool { return f.Detail["rcode"] == "NXDOMAIN" }

func truncated(f finding.Finding, _ *Facts) bool { return f.Detail["truncated"] == true }
