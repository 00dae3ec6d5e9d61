package scenario

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// partnerTLS: uploads of a ground-station partner fail at night, and
// everybody's firewall says that the traffic is allowed.
func partnerTLS() Scenario {
	const attempts = 6
	var (
		at      = place{"5b2f7c1e-8d43-4a96-b0e7-3c51d9a2f604", "orbital-relay", "westeurope"}
		vm      = netip.MustParseAddrPort("10.40.1.4:443")
		partner = netip.MustParseAddr("203.0.113.9")
		another = netip.MustParseAddr("198.51.100.20") // healthy, and outside of the filter
	)
	uplink := at.machine("uplink-01", "0d9c4be2-61f7-4e3a-9a58-b7f2c4d1e603", "processing VM that receives the uploads", vm.Addr())
	return Scenario{
		Name:          "partner-tls",
		Summary:       "A partner's uploads fail: it resets every connection right after it has seen the certificate.",
		Subscription:  at.subscription,
		ResourceGroup: at.group,
		Region:        at.region,
		Landing:       at.landing("orbitallanding"),
		Machines:      in(at.subnet("uplink"), uplink),
		// What everybody's firewall says is true: the NSG lets the partner in.
		Network: arm.Network{
			Subnets: []arm.Subnet{{
				ID: at.subnet("uplink"), Space: []netip.Prefix{netip.MustParsePrefix("10.40.0.0/16")},
				Group: &arm.SecurityGroup{ID: at.id("Microsoft.Network/networkSecurityGroups/nsg-uplink"), Rules: []arm.SecurityRule{
					{Name: "AllowPartnersTLS", Priority: 200, Inbound: true, Protocol: "Tcp", Source: "Internet", Destination: "10.40.1.0/24", Ports: "443"},
				}},
			}},
			PublicIPs: []arm.PublicIP{{ID: at.id("Microsoft.Network/publicIPAddresses/uplink-ip"), Address: "20.50.2.30", Of: at.id("Microsoft.Network/networkInterfaces/uplink-01-nic/ipConfigurations/ipconfig1")}},
		},
		ResolveAfter: 2 * time.Second,
		Expect: []Expectation{{
			Machine: uplink.ID, Cause: "tls-rejected", Culprit: finding.Client,
			Findings: []finding.Kind{"tls.handshake-reset"},
			Facts:    []string{partner.String(), vm.String(), serverName},
		}},
		policy: `# Uploads of the ground-station partner fail during night passes. One window of
# packets between the partner and the uplink VMs shows where they end.
` + policyHead + `profiles:
  - name: partner-tls
    when:
      alertRule: [upload-failures]
      severity: [Sev0, Sev1]
      signalType: [Metric]
      targetType: [vm]
    capture:
      timeLimit: 5m
      totalBytes: 100MiB
      bytesPerPacket: 0
      filters:
        - {protocol: TCP, remoteIP: 203.0.113.0/28, localPort: "443"}
    approval:
      mode: standing
      reason: Night passes fail while nobody is at work, CHG-2318
      owner: network-operations
      approver: data-protection
      expires: EXPIRES
    retention: 7d

expected:
  outbound: [10.40.0.0/16]
`,
		rule: rule{
			name: "upload-failures", description: "Uploads of a ground-station partner fail", severity: "Sev1",
			namespace: "Orbital/Uploads", metric: "Failed Uploads", aggregation: "Total",
			threshold: 3, fired: 11, resolved: 0, incident: "INC-4711",
		},
		cast:     []netip.Addr{vm.Addr(), partner, another},
		services: []uint16{vm.Port()},
		play: func(ctx context.Context, h *stagehand) error {
			config, err := serverTLS(time.Now())
			if err != nil {
				return err
			}
			if err := h.serve(ctx, vm, func(c net.Conn) { receiveUpload(ctx, tls.Server(c, config)) }); err != nil {
				return err
			}
			for i := range attempts {
				h.step(fmt.Sprintf("the partner's appliance %v connects to %v, attempt %d of %d", partner, vm, i+1, attempts))
				if err := rejectCertificate(ctx, h, partner, vm); err != nil {
					return err
				}
				if i%2 == 0 {
					if err := pause(ctx, 500*time.Millisecond); err != nil {
						return err
					}
					h.step(fmt.Sprintf("another partner, %v, uploads without trouble", another))
					if err := upload(ctx, h, another, vm); err != nil {
						return err
					}
				}
				if i == attempts-1 {
					break
				}
				// It backs off: every second would look like a machine's beat.
				if err := pause(ctx, time.Duration(i+1)*800*time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// receiveUpload is the server's side: one line each way. What goes wrong is
// the client's story.
func receiveUpload(ctx context.Context, c *tls.Conn) {
	if c.HandshakeContext(ctx) != nil {
		return
	}
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		return
	}
	fmt.Fprintln(c, "stored")
	c.Close()
}

func upload(ctx context.Context, h *stagehand, from netip.Addr, to netip.AddrPort) error {
	c, err := h.dial(ctx, from, to)
	if err != nil {
		return err
	}
	defer h.drop(c)
	t := tls.Client(c, &tls.Config{ServerName: serverName, InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(t, "telemetry of pass 20481"); err != nil {
		return err
	}
	if _, err := bufio.NewReader(t).ReadString('\n'); err != nil {
		return err
	}
	return t.Close()
}

// rejectCertificate connects, and aborts the connection with a RST when the
// certificate has come: no alert, no goodbye.
func rejectCertificate(ctx context.Context, h *stagehand, from netip.Addr, to netip.AddrPort) error {
	c, err := h.dial(ctx, from, to)
	if err != nil {
		return err
	}
	defer h.drop(c)
	rejected := errors.New("certificate rejected")
	// TLS 1.2, where the certificate is there for every observer to see.
	err = tls.Client(c, &tls.Config{
		ServerName: serverName, InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
		VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error {
			if err := c.SetLinger(0); err != nil {
				return err
			}
			return errors.Join(rejected, c.Close())
		},
	}).HandshakeContext(ctx)
	if !errors.Is(err, rejected) {
		return fmt.Errorf("the certificate was not looked at: %w", err)
	}
	return nil
}
