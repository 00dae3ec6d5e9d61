package arm_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

const (
	vnetID   = group + "Microsoft.Network/virtualNetworks/shop-net"
	frontID  = vnetID + "/subnets/front"
	nsgID    = group + "Microsoft.Network/networkSecurityGroups/nsg-front"
	tableID  = group + "Microsoft.Network/routeTables/via-firewall"
	nicID    = group + "Microsoft.Network/networkInterfaces/Shop-1-nic"
	setNicID = setID + "/virtualMachines/1/networkInterfaces/nic"
)

// ruled is the world with a network around it.
func ruled() local.World {
	w := world()
	w.VMs[0].Subnet, w.ScaleSets[0].Subnet = frontID, frontID
	w.VMs = append(w.VMs, local.VM{ID: group + "Microsoft.Compute/virtualMachines/firewall-1", Region: "westeurope", Addresses: []string{"10.0.9.4"}, Subnet: vnetID + "/subnets/hub"})
	w.Network = local.Network{
		Subnets: []local.Subnet{{
			ID: frontID, Space: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
			Group: &local.SecurityGroup{ID: nsgID, Rules: []local.SecurityRule{
				{Name: "allow-web", Priority: 200, Inbound: true, Protocol: "Tcp", Source: "Internet", Destination: "10.0.0.0/24", Ports: "443"},
				{Name: "no-telnet", Priority: 100, Deny: true, Protocol: "Tcp", Source: "*", Destination: "*", Ports: "23"},
			}},
			Routes: &local.RouteTable{ID: tableID, Routes: []local.Route{
				{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Type: "VirtualAppliance", Address: netip.MustParseAddr("10.0.9.4")},
			}},
		}},
		Endpoints: []local.PrivateEndpoint{{
			ID: group + "Microsoft.Network/privateEndpoints/vault-pe", Region: "westeurope", Subnet: frontID, Address: "10.0.0.9",
			Service: group + "Microsoft.Storage/storageAccounts/shopvault", Group: "blob",
		}},
		Balancers: []local.LoadBalancer{{ID: group + "Microsoft.Network/loadBalancers/lb", PublicIP: group + "Microsoft.Network/publicIPAddresses/lb-ip"}},
		PublicIPs: []local.PublicIP{{ID: group + "Microsoft.Network/publicIPAddresses/lb-ip", Address: "20.0.0.7"}},
		Tags: []local.ServiceTag{
			{Name: "AzureCloud.westeurope", Prefixes: []string{"52.0.0.0/10"}},
			{Name: "Storage", Prefixes: []string{"52.1.0.0/16"}},
			{Name: "Storage.WestEurope", Prefixes: []string{"52.1.0.0/16"}},
		},
	}
	return w
}

func subject() controlplane.Subject {
	return controlplane.Subject{ID: vmID, Region: "westeurope"}
}

func setSubject() controlplane.Subject {
	return controlplane.Subject{ID: setID, ScaleSet: true, Region: "westeurope", Instances: []string{"1"}}
}

func reader(t *testing.T, w local.World, o local.Options) *arm.Reader {
	t.Helper()
	if o.RetryAfter == 0 {
		o.RetryAfter = time.Millisecond
	}
	_, watcher := serve(t, w, o)
	return arm.NewReader(watcher)
}

// question reads "tcp 10.0.0.4:40000 > 192.0.2.9:443", "<" for a flow that the
// other side opened.
func question(t *testing.T, s controlplane.Subject, nic, text string) controlplane.Question {
	t.Helper()
	f := strings.Fields(text)
	q := controlplane.Question{Subject: s, Interface: controlplane.Interface{ID: nic}, Protocol: f[0], Direction: controlplane.Outbound}
	if f[2] == "<" {
		q.Direction = controlplane.Inbound
	}
	q.Local, q.Remote = netip.MustParseAddrPort(f[1]), netip.MustParseAddrPort(f[3])
	return q
}

func TestReaderAccess(t *testing.T) {
	r := reader(t, ruled(), local.Options{})
	verify, diagnose := controlplane.FlowVerify, controlplane.Diagnostics
	tests := []struct {
		name, flow string
		scaleSet   bool
		want       controlplane.Access
	}{
		{"a rule of ours lets it in", "tcp 10.0.0.4:443 < 203.0.113.9:0", false, controlplane.Access{Allowed: true, Rule: "allow-web", By: verify}},
		{"nothing lets it in", "tcp 10.0.0.4:22 < 203.0.113.9:51000", false, controlplane.Access{Rule: "DenyAllInBound", By: verify}},
		{"from a neighbour", "udp 10.0.0.4:53 < 10.0.7.7:5353", false, controlplane.Access{Allowed: true, Rule: "AllowVnetInBound", By: verify}},
		{"out to the Internet", "tcp 10.0.0.4:0 > 203.0.113.9:443", false, controlplane.Access{Allowed: true, Rule: "AllowInternetOutBound", By: verify}},
		{"not out to this port", "tcp 10.0.0.4:40000 > 10.0.7.7:23", false, controlplane.Access{Rule: "no-telnet", By: verify}},
		{"an instance is asked about elsewhere", "tcp 10.0.1.5:40000 > 10.0.7.7:23", true, controlplane.Access{Rule: "no-telnet", Group: nsgID, By: diagnose}},
		{"which lets it pass too", "tcp 10.0.1.5:40000 > 10.0.7.7:25", true, controlplane.Access{Allowed: true, Rule: "AllowVnetOutBound", Group: nsgID, By: diagnose}},
		{"ICMP is asked about there as well", "icmp 10.0.0.4:0 > 10.0.7.7:0", false, controlplane.Access{Allowed: true, Rule: "AllowVnetOutBound", Group: nsgID, By: diagnose}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := question(t, subject(), nicID, tt.flow)
			if tt.scaleSet {
				q = question(t, setSubject(), setNicID, tt.flow)
			}
			got, err := r.Access(t.Context(), q)
			if err != nil || got != tt.want {
				t.Errorf("Access(%s) = %+v, %v, want %+v", tt.flow, got, err, tt.want)
			}
		})
	}
}

func TestReaderNextHop(t *testing.T) {
	r := reader(t, ruled(), local.Options{})
	appliance := netip.MustParseAddr("10.0.9.4")
	for to, want := range map[string]controlplane.Hop{
		"192.0.2.9:443":   {Type: "VirtualAppliance", Address: appliance, RouteTable: tableID},
		"203.0.113.9:443": {Type: "Internet", RouteTable: "System Route"},
		"10.0.44.1:443":   {Type: "VnetLocal", RouteTable: "System Route"},
		"10.99.0.1:443":   {Type: "None", RouteTable: "System Route"},
	} {
		got, err := r.NextHop(t.Context(), question(t, subject(), nicID, "tcp 10.0.0.4:40000 > "+to))
		if err != nil || got != want {
			t.Errorf("NextHop(%s) = %+v, %v, want %+v", to, got, err, want)
		}
	}
	if _, err := r.NextHop(t.Context(), question(t, setSubject(), setNicID, "tcp 10.0.1.5:1 > 192.0.2.9:443")); !errors.Is(err, controlplane.ErrUnsupported) {
		t.Errorf("of a scale set: %v, want ErrUnsupported", err)
	}
}

func TestReaderRules(t *testing.T) {
	r := reader(t, ruled(), local.Options{})
	all, err := r.Rules(t.Context(), subject(), nicID)
	if err != nil {
		t.Fatal(err)
	}
	for flow, want := range map[string]string{
		"tcp 10.0.0.4:443 < 203.0.113.9:51000":  "allow-web DenyAllInBound",
		"tcp 10.0.0.4:40000 > 10.0.7.7:23":      "no-telnet AllowVnetOutBound DenyAllOutBound",
		"udp 10.0.0.4:40000 > 8.8.8.8:53":       "AllowInternetOutBound DenyAllOutBound",
		"udp 10.0.0.4:40000 < 168.63.129.16:53": "AllowAzureLoadBalancerInBound DenyAllInBound",
	} {
		var names []string
		for _, rule := range controlplane.Matching(all, question(t, subject(), nicID, flow)) {
			names = append(names, rule.Name)
			if rule.Group != nsgID || rule.At != "subnet" {
				t.Errorf("rule %+v: want group %s, at subnet", rule, nsgID)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("Matching(%s) = %s, want %s", flow, got, want)
		}
	}
	if _, err := r.Rules(t.Context(), setSubject(), setNicID); !errors.Is(err, controlplane.ErrUnsupported) {
		t.Errorf("of an instance: %v, want ErrUnsupported", err)
	}
}

func TestReaderInterfaces(t *testing.T) {
	r := reader(t, ruled(), local.Options{})
	for _, tt := range []struct {
		subject controlplane.Subject
		want    []controlplane.Interface
	}{
		{subject(), []controlplane.Interface{{ID: nicID, Machine: vmID, Subnet: frontID, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("10.0.0.5")}}}},
		{setSubject(), []controlplane.Interface{{ID: setNicID, Machine: setID + "/virtualMachines/1", Subnet: frontID, Addresses: []netip.Addr{netip.MustParseAddr("10.0.1.5")}}}},
	} {
		got, err := r.Interfaces(t.Context(), tt.subject)
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{})); err != nil || diff != "" {
			t.Errorf("Interfaces(%s): %v (-want +got)\n%s", tt.subject.ID, err, diff)
		}
	}
}

func TestReaderNames(t *testing.T) {
	w := ruled()
	// Another network of the same group has the same addresses.
	w.VMs = append(w.VMs, local.VM{ID: group + "Microsoft.Compute/virtualMachines/twin", Region: "westeurope", Addresses: []string{"10.0.0.5", "10.8.0.1"}, Subnet: group + "Microsoft.Network/virtualNetworks/other/subnets/a"},
		local.VM{ID: group + "Microsoft.Compute/virtualMachines/twin2", Region: "westeurope", Addresses: []string{"10.8.0.1"}, Subnet: group + "Microsoft.Network/virtualNetworks/third/subnets/a"})
	r := reader(t, w, local.Options{})
	at, err := r.Interfaces(t.Context(), subject())
	if err != nil {
		t.Fatal(err)
	}
	names, err := r.Names(t.Context(), setSubject(), at)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, n := range names {
		got[n.Address.String()] = n.String()
	}
	want := map[string]string{
		"10.0.0.4": "VM Shop-1", "10.0.0.5": "VM Shop-1", "10.0.9.4": "VM firewall-1",
		"10.0.0.9": "private endpoint vault-pe to blob of shopvault", "20.0.0.7": "public address lb-ip of load balancer lb",
		"10.0.1.4": "instance 0 of Shop-Set", "10.0.1.5": "instance 1 of Shop-Set",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got); 10.8.0.1 is of two machines, so of none:\n%s", diff)
	}
	tags, err := r.Tags(t.Context(), subject(), []netip.Addr{netip.MustParseAddr("52.1.2.3"), netip.MustParseAddr("52.9.9.9"), netip.MustParseAddr("9.9.9.9")})
	if err != nil || len(tags) != 2 || tags[0].String() != "service tag Storage.WestEurope" || tags[1].String() != "service tag AzureCloud.westeurope" {
		t.Errorf("Tags = %v, %v", tags, err)
	}
}

// TestReaderGivesUp: what Azure does not want to answer comes back at once, as
// what it is.
func TestReaderGivesUp(t *testing.T) {
	asked := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "ipFlowVerify") }
	tests := []struct {
		name  string
		fault local.Fault
		want  error
		says  string
	}{
		{"throttled", local.Fault{Status: 429, Code: "TooManyRequests", RetryAfter: 17 * time.Second}, controlplane.ErrThrottled, "429"},
		{"denied", local.Fault{Status: 403, Code: "AuthorizationFailed", Message: "does not have authorization to perform action 'Microsoft.Network/networkWatchers/ipFlowVerify/action'"}, controlplane.ErrDenied, "ipFlowVerify"},
		{"broken", local.Fault{Status: 500, Code: "InternalServerError", Message: "An error occurred."}, nil, "An error occurred."},
		{"failed later", local.Fault{FailOperation: "The agent is asleep."}, nil, "The agent is asleep."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := reader(t, ruled(), local.Options{Fault: func(r *http.Request) *local.Fault {
				if asked(r) {
					return &tt.fault
				}
				return nil
			}})
			_, err := r.Access(t.Context(), question(t, subject(), nicID, "tcp 10.0.0.4:40000 > 192.0.2.9:443"))
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %v that says %q", err, tt.want, tt.says)
			}
			if tt.want == nil && (errors.Is(err, controlplane.ErrThrottled) || errors.Is(err, controlplane.ErrDenied)) {
				t.Errorf("error %v is neither", err)
			}
		})
	}
}

// TestReaderEndsWithItsContext: an operation that takes longer than there is
// time ends the question, not the inquiry's deadline.
func TestReaderEndsWithItsContext(t *testing.T) {
	r := reader(t, ruled(), local.Options{RetryAfter: time.Hour})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errors.New("no time left"))
	defer cancel()
	if _, err := r.NextHop(ctx, question(t, subject(), nicID, "tcp 10.0.0.4:40000 > 192.0.2.9:443")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want that the deadline is exceeded", err)
	}
}

// TestReaderValidates: the local ARM refuses what Azure refuses, so that the
// tests above mean something.
func TestReaderValidates(t *testing.T) {
	r := reader(t, ruled(), local.Options{})
	for _, flow := range []string{
		"tcp 10.0.0.77:40000 > 192.0.2.9:443", // not the machine's
		"tcp 10.0.0.4:40000 > 192.0.2.9:0",    // any port of a destination
		"tcp 10.0.0.4:40000 > [2001:db8::1]:443",
		"sctp 10.0.0.4:40000 > 192.0.2.9:443",
	} {
		if a, err := r.Access(t.Context(), question(t, subject(), nicID, flow)); err == nil {
			t.Errorf("Access(%s) = %+v, want an error", flow, a)
		}
	}
	if _, err := r.Access(t.Context(), question(t, subject(), setNicID, "tcp 10.0.0.4:40000 > 192.0.2.9:443")); err == nil {
		t.Error("another machine's interface is accepted")
	}
}

func TestContextActionsChangeNothing(t *testing.T) {
	asks := []string{"/read", "/ipFlowVerify/action", "/nextHop/action", "/networkConfigurationDiagnostic/action", "/effectiveNetworkSecurityGroups/action"}
	for _, action := range append(arm.ContextActions(), arm.ContextSubscriptionActions()...) {
		ok := false
		for _, suffix := range asks {
			ok = ok || strings.HasSuffix(action, suffix)
		}
		if !ok || strings.Contains(action, "*") {
			t.Errorf("%s is no question", action)
		}
	}
}

// TestReaderNeedsItsActions: the actions that errors name are in the lists
// that roles are made of.
func TestReaderNeedsItsActions(t *testing.T) {
	listed := strings.Join(append(arm.ContextActions(), arm.ContextSubscriptionActions()...), " ")
	r := reader(t, ruled(), local.Options{Fault: func(r *http.Request) *local.Fault {
		if strings.HasSuffix(strings.ToLower(r.URL.Path), "/networkwatchers") {
			return nil
		}
		return &local.Fault{Status: 403, Code: "AuthorizationFailed"}
	}})
	q, s := question(t, subject(), nicID, "tcp 10.0.0.4:40000 > 192.0.2.9:443"), setSubject()
	ctx := t.Context()
	for what, err := range map[string]error{
		"Access":              second(r.Access(ctx, q)),
		"Access of a set":     second(r.Access(ctx, question(t, s, setNicID, "tcp 10.0.1.5:40000 > 192.0.2.9:443"))),
		"NextHop":             second(r.NextHop(ctx, q)),
		"Rules":               second(r.Rules(ctx, subject(), nicID)),
		"Interfaces":          second(r.Interfaces(ctx, subject())),
		"Interfaces of a set": second(r.Interfaces(ctx, s)),
		"Names":               second(r.Names(ctx, s, nil)),
		"Tags":                second(r.Tags(ctx, subject(), []netip.Addr{netip.MustParseAddr("52.1.2.3")})),
	} {
		if !errors.Is(err, controlplane.ErrDenied) {
			t.Errorf("%s: %v, want ErrDenied", what, err)
			continue
		}
		for line := range strings.SplitSeq(fmt.Sprint(err), "\n") {
			named := false
			for word := range strings.FieldsSeq(line) {
				named = named || strings.HasPrefix(word, "Microsoft.") && strings.Contains(listed+" ", strings.Trim(word, ":'")+" ")
			}
			if !named {
				t.Errorf("%s: %q names no action of the lists", what, line)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }
