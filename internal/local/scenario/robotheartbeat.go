package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// robotHeartbeat: a VM on the factory floor sends more than it should, and
// somebody has to decide whether to isolate it while production runs.
func robotHeartbeat() Scenario {
	const (
		attempts = 10
		interval = 2 * time.Second
	)
	var (
		at        = place{"c7a04d19-2e5b-4f86-93d1-60b8e7f1a5c2", "apex-inspection", "germanywestcentral"}
		telemetry = netip.MustParseAddrPort("10.4.1.4:8883") // nobody listens
		images    = netip.MustParseAddrPort("10.4.1.4:8443")
		legacy    = netip.MustParseAddr("10.4.0.9")
		modern    = netip.MustParseAddr("10.4.0.7")
	)
	inspect := at.machine("inspect-02", "84e1f6a3-50c9-4d27-8b6e-12fa79d3c0e8", "VM that processes inspection images", images.Addr())
	return Scenario{
		Name:          "robot-heartbeat",
		Summary:       "A VM is flagged for odd traffic: a legacy controller knocks at its closed telemetry port every two seconds.",
		Subscription:  at.subscription,
		ResourceGroup: at.group,
		Region:        at.region,
		Landing:       at.landing("apexlanding"),
		Machines:      in(at.subnet("inspection"), inspect),
		// The factory floor is behind a gateway, and may talk to the VMs.
		Network: arm.Network{
			Subnets: []arm.Subnet{{
				ID: at.subnet("inspection"), Space: []netip.Prefix{netip.MustParsePrefix("10.4.1.0/24"), netip.MustParsePrefix("10.4.255.0/27")},
				Learned: []netip.Prefix{netip.MustParsePrefix("10.4.0.0/24")}, Gateway: netip.MustParseAddr("10.4.255.4"),
				Group: &arm.SecurityGroup{ID: at.id("Microsoft.Network/networkSecurityGroups/nsg-inspection"), Rules: []arm.SecurityRule{
					{Name: "AllowControllers", Priority: 110, Inbound: true, Protocol: "Tcp", Source: "10.4.0.0/24", Destination: "10.4.1.0/24", Ports: "8443-8883"},
				}},
			}},
		},
		Expect: []Expectation{{
			Machine: inspect.ID, Cause: "connect-refused", Culprit: finding.Server,
			Findings: []finding.Kind{"tcp.connect-refused", "traffic.beacon"},
			Facts:    []string{legacy.String(), telemetry.String()},
		}},
		policy: `# Unusual traffic of an inspection VM: what the controllers' subnet and the
# telemetry port have to do with each other, and nothing else.
` + policyHead + `profiles:
  - name: robot-heartbeat
    when:
      alertRule: [unusual-outbound-flows]
      severity: [Sev1, Sev2]
      signalType: [Metric]
      targetType: [vm]
    capture:
      timeLimit: 24s
      totalBytes: 50MiB
      bytesPerPacket: 0
      filters:
        - {protocol: TCP, remoteIP: 10.4.0.0/24, localPort: "8883"}
        - {protocol: TCP, remotePort: "8883"}
    approval:
      mode: standing
      reason: Triage before production is stopped, agreed with plant safety
      owner: security-operations
      approver: plant-data-protection
      expires: EXPIRES
    retention: 7d

expected:
  outbound: [10.4.0.0/16]
`,
		rule: rule{
			name: "unusual-outbound-flows", description: "An inspection VM has more outbound flows than it should", severity: "Sev2",
			namespace: "Microsoft.Compute/virtualMachines", metric: "Outbound Flows", aggregation: "Maximum",
			threshold: 250, fired: 412, resolved: 187, incident: "SEC-0092",
		},
		cast:     []netip.Addr{images.Addr(), legacy, modern},
		services: []uint16{images.Port()},
		play: func(ctx context.Context, h *stagehand) error {
			if err := h.serve(ctx, images, func(c net.Conn) { io.Copy(io.Discard, c) }); err != nil {
				return err
			}
			beat := time.NewTicker(interval)
			defer beat.Stop()
			for i := range attempts {
				h.step(fmt.Sprintf("the legacy controller %v knocks at %v, %d of %d", legacy, telemetry, i+1, attempts))
				c, err := h.dial(ctx, legacy, telemetry)
				switch {
				case err == nil:
					h.drop(c)
					return fmt.Errorf("somebody listens at %v", telemetry)
				case !errors.Is(err, syscall.ECONNREFUSED):
					return err
				}
				if i%4 == 1 {
					h.step(fmt.Sprintf("a controller that was updated, %v, delivers an image", modern))
					if err := deliver(ctx, h, modern, images); err != nil {
						return err
					}
				}
				if i == attempts-1 {
					break
				}
				select {
				case <-beat.C:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			return nil
		},
	}
}

func deliver(ctx context.Context, h *stagehand, from netip.Addr, to netip.AddrPort) error {
	c, err := h.dial(ctx, from, to)
	if err != nil {
		return err
	}
	defer h.drop(c)
	_, err = c.Write(bytes.Repeat([]byte("image "), 500))
	return err
}
