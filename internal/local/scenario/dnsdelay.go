package scenario

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// dnsDelay: jobs start slowly on one node of a cluster and at once on
// another, and CPU and disks are idle on both.
func dnsDelay() Scenario {
	var (
		at       = place{"2ad91f70-c3b6-4758-8e04-f95d6b1c7a3e", "genomics", "uksouth"}
		slow     = netip.MustParseAddr("10.60.2.17")
		healthy  = netip.MustParseAddr("10.60.2.18")
		silent   = netip.MustParseAddrPort("10.60.9.4:53") // in a subnet that was given up
		resolver = netip.MustParseAddrPort("10.60.0.4:53")
		licenses = netip.MustParseAddrPort("10.60.3.27:27000")
	)
	slowNode := at.machine("node-17", "f3b60c85-9e1d-4724-a8f5-2c70d9e4b1a6", "compute node on which jobs start slowly", slow)
	healthyNode := at.machine("node-18", "17d8a2e4-b05c-4f91-86c3-e9a4507f2d1b", "compute node on which they do not", healthy)
	return Scenario{
		Name:          "dns-delay",
		Summary:       "Jobs start slowly on one node of two: it asks a resolver that is gone before the one that answers.",
		Subscription:  at.subscription,
		ResourceGroup: at.group,
		Region:        at.region,
		Landing:       at.landing("genomicslanding"),
		Machines:      in(at.subnet("compute"), slowNode, healthyNode),
		Neighbours: append(in(at.subnet("services"), at.machine("resolver-01", "5c1d7e90-3b42-4a86-9f0d-71e8b2a4c653", "resolver", resolver.Addr())),
			in(at.subnet("licenses"), at.machine("licenses-01", "a90e4f27-6d18-4c3b-8e75-0b92d6c1f834", "license server", licenses.Addr()))...),
		// Nothing is in the way: the address of the first resolver is nobody's.
		Network: arm.Network{
			Subnets: []arm.Subnet{{
				ID: at.subnet("compute"), Space: []netip.Prefix{netip.MustParsePrefix("10.60.0.0/16")},
				Group: &arm.SecurityGroup{ID: at.id("Microsoft.Network/networkSecurityGroups/nsg-compute")},
			}},
		},
		Expect: []Expectation{
			{
				Machine: slowNode.ID, Cause: "dns-unreachable", Culprit: finding.Resolver,
				Findings: []finding.Kind{"dns.resolver-unreachable", "dns.fallback"},
				Facts:    []string{silent.Addr().String(), resolver.Addr().String()},
			},
			{Machine: healthyNode.ID, Cause: "healthy", Culprit: finding.None},
		},
		policy: `# Jobs start slowly on some nodes. The same capture of a healthy node shows
# what is different.
` + policyHead + `profiles:
  - name: dns-delay
    when:
      alertRule: [slow-job-start]
      signalType: [Metric]
      targetType: [vm]
    capture:
      timeLimit: 24s
      totalBytes: 50MiB
      bytesPerPacket: 0
      filters:
        - {protocol: UDP, remotePort: "53"}
        - {protocol: TCP, remotePort: "53"}
        - {protocol: TCP, remoteIP: 10.60.3.27, remotePort: "27000"}
      compareWith:
        - ` + healthyNode.ID + `
    approval:
      mode: standing
      reason: Name resolution and license traffic only, no research data
      owner: research-platform
      approver: data-steward
      expires: EXPIRES
    retention: 30d

expected:
  outbound: [10.60.0.0/16]
  resolvers: [10.60.0.4]
`,
		rule: rule{
			name: "slow-job-start", description: "Jobs take long to start on a compute node", severity: "Sev3",
			namespace: "Cluster/Jobs", metric: "Startup Seconds", aggregation: "Average",
			threshold: 300, fired: 842, resolved: 214, incident: "RES-118",
		},
		cast:     []netip.Addr{slow, healthy, silent.Addr(), resolver.Addr(), licenses.Addr()},
		services: []uint16{resolver.Port(), licenses.Port()},
		play: func(ctx context.Context, h *stagehand) error {
			if _, err := h.packets(ctx, silent); err != nil { // bound, and never read
				return err
			}
			questions, err := h.packets(ctx, resolver)
			if err != nil {
				return err
			}
			h.running.Go(func() { answerQuestions(questions) })
			if err := h.serve(ctx, licenses, grantLicenses); err != nil {
				return err
			}
			started := make(chan error, 2)
			h.running.Go(func() { started <- startJob(ctx, h, "slow node", slow, licenses, silent, resolver) })
			h.running.Go(func() { started <- startJob(ctx, h, "healthy node", healthy, licenses, resolver) })
			return errors.Join(<-started, <-started)
		},
	}
}

// entry is a name and its address.
type entry struct {
	name string
	addr netip.Addr
}

// zone is what a job looks up before it starts.
var zone = []entry{
	{"reference.data.cedarvalley.example.", netip.MustParseAddr("10.60.4.11")},
	{"scratch.data.cedarvalley.example.", netip.MustParseAddr("10.60.4.12")},
	{"queue.cluster.cedarvalley.example.", netip.MustParseAddr("10.60.3.20")},
	{"licenses.cedarvalley.example.", netip.MustParseAddr("10.60.3.27")},
}

// startJob looks the names up at the first resolver that answers, one by one
// as a node does that caches nothing, and then gets a license.
func startJob(ctx context.Context, h *stagehand, node string, from netip.Addr, licenses netip.AddrPort, resolvers ...netip.AddrPort) error {
	for _, r := range zone {
		asked := time.Now()
		var addr netip.Addr
		var err error
		for _, resolver := range resolvers {
			h.step(fmt.Sprintf("the %s %v asks %v for %s", node, from, resolver.Addr(), r.name))
			if addr, err = ask(ctx, h, r.name, from, resolver); !errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("the %s looks up %s: %w", node, r.name, err)
		}
		if addr != r.addr {
			return fmt.Errorf("%s is %v, want %v", r.name, addr, r.addr)
		}
		h.step(fmt.Sprintf("the %s has its answer after %v", node, time.Since(asked).Round(10*time.Millisecond)))
		if err := pause(ctx, 400*time.Millisecond); err != nil {
			return err
		}
	}
	c, err := h.dial(ctx, from, licenses)
	if err != nil {
		return err
	}
	defer h.drop(c)
	if _, err := fmt.Fprintln(c, "one seat, please"); err != nil {
		return err
	}
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		return err
	}
	h.step(fmt.Sprintf("the %s has its license", node))
	return pause(ctx, 200*time.Millisecond)
}

func grantLicenses(c net.Conn) {
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		return
	}
	fmt.Fprintln(c, "granted")
	io.Copy(io.Discard, c) // until the client hangs up
}
