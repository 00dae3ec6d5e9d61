package controlplane_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

const (
	vm  = "/subscriptions/1/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web-1"
	nic = "/subscriptions/1/resourceGroups/shop/providers/Microsoft.Network/networkInterfaces/web-1-nic"
)

// network is a Source with one machine behind one appliance. It notes what it
// is asked.
type network struct {
	takes time.Duration    // every question
	fails map[string]error // by question
	hop   controlplane.Hop
	rule  string // that allows
	of    string // what the appliance is called

	mu    sync.Mutex
	asked []string
	now   int
	most  int // questions at once
}

func (n *network) ask(ctx context.Context, what, about string) error {
	n.mu.Lock()
	n.asked = append(n.asked, strings.TrimSpace(what+" "+about))
	n.now++
	n.most = max(n.most, n.now)
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.now--
		n.mu.Unlock()
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(n.takes):
		return n.fails[what]
	}
}

func (n *network) Interfaces(ctx context.Context, _ controlplane.Subject) ([]controlplane.Interface, error) {
	if err := n.ask(ctx, "interfaces", ""); err != nil {
		return nil, err
	}
	return []controlplane.Interface{{ID: nic, Machine: vm, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.4")}}}, nil
}

func (n *network) Access(ctx context.Context, q controlplane.Question) (controlplane.Access, error) {
	err := n.ask(ctx, "access", fmt.Sprintf("%s %s %v %v", q.Protocol, q.Direction, q.Local, q.Remote))
	return controlplane.Access{Allowed: true, Rule: n.rule, By: controlplane.FlowVerify}, err
}

func (n *network) NextHop(ctx context.Context, q controlplane.Question) (controlplane.Hop, error) {
	return n.hop, n.ask(ctx, "hop", q.Remote.Addr().String())
}

func (n *network) Rules(ctx context.Context, _ controlplane.Subject, id string) ([]controlplane.Rule, error) {
	any := controlplane.End{Prefixes: []string{"*"}}
	return []controlplane.Rule{
		controlplane.NewRule(controlplane.Rule{Name: n.rule, Group: nsg, Direction: controlplane.Outbound, Allowed: true, Priority: 100}, "Tcp", any, any),
		controlplane.NewRule(controlplane.Rule{Name: "other", Group: nsg, Direction: controlplane.Inbound, Priority: 100}, "All", any, any),
	}, n.ask(ctx, "rules", id)
}

func (n *network) Names(ctx context.Context, _ controlplane.Subject, _ []controlplane.Interface) ([]controlplane.Name, error) {
	return []controlplane.Name{{Address: netip.MustParseAddr("10.0.9.4"), Kind: controlplane.Machine, Name: n.of}}, n.ask(ctx, "names", "")
}

func (n *network) Tags(ctx context.Context, _ controlplane.Subject, addrs []netip.Addr) ([]controlplane.Name, error) {
	return []controlplane.Name{{Address: addrs[0], Kind: controlplane.ServiceTag, Name: "Storage"}}, n.ask(ctx, "tags", fmt.Sprint(addrs))
}

func appliance() *network {
	return &network{
		rule: "AllowVnetOutBound", of: "firewall-1",
		hop: controlplane.Hop{Type: controlplane.HopAppliance, Address: netip.MustParseAddr("10.0.9.4"), RouteTable: table},
	}
}

// seen reads "10.0.0.4 > 10.0.1.9:443".
func seen(text string) controlplane.Seen {
	client, server, _ := strings.Cut(text, " > ")
	return controlplane.Seen{
		Kind: "tcp.connect-timeout", Culprit: finding.Firewall, Sure: 0.7, Outcome: controlplane.Unanswered,
		Flow: finding.Flow{Protocol: "tcp", Client: endpoint(client), Server: endpoint(server)},
	}
}

func ask(t *testing.T, n *network, all ...controlplane.Seen) *controlplane.Context {
	t.Helper()
	return controlplane.Ask(t.Context(), n, controlplane.Inquiry{Subject: controlplane.Subject{ID: vm, Region: "westeurope"}, Seen: all})
}

func gaps(c *controlplane.Context) string {
	var b strings.Builder
	for _, g := range c.Gaps {
		fmt.Fprintf(&b, "%s: %s\n", g.Question, g.Reason)
	}
	return b.String()
}

func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := appliance()
		n.takes = 10 * time.Second
		c := ask(t, n, seen("10.0.0.4 > 10.0.1.9:443"))
		if len(c.Flows) != 1 || len(c.Gaps) > 0 {
			t.Fatalf("%d flows, gaps %s", len(c.Flows), gaps(c))
		}
		f := c.Flows[0]
		want := "The NSG allows 10.0.0.4 to 10.0.1.9:443 (rule AllowVnetOutBound of nsg-front), the route goes to appliance 10.0.9.4 (VM firewall-1), " +
			"and the SYN left the machine and got no answer: look at the appliance."
		if f.Sentence != want {
			t.Errorf("%s\nwant %s", f.Sentence, want)
		}
		if f.Confidence == nil || f.Confidence.After != 0.85 || f.Agreement != controlplane.Agree || f.Direction != controlplane.Outbound {
			t.Errorf("flow %+v", f)
		}
		if len(f.Rules) != 1 || f.Rules[0].Name != "AllowVnetOutBound" || f.Access.Group != nsg {
			t.Errorf("rules %+v", f.Rules)
		}
		if c.Took != 20*time.Second { // the interfaces, then all the rest at once
			t.Errorf("it took %v", c.Took)
		}
		doc, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back controlplane.Context
		if err := json.Unmarshal(doc, &back); err != nil {
			t.Fatal(err)
		}
		if again, _ := json.Marshal(back); string(again) != string(doc) {
			t.Errorf("reads back as %s\nwant %s", again, doc)
		}
	})
}

// TestAskOnlyAboutItsOwn: which addresses are in a capture is the choice of
// whoever sent the packets.
func TestAskOnlyAboutItsOwn(t *testing.T) {
	tests := []struct {
		name string
		seen []string
		want []string // questions about flows
		gap  string
	}{
		{"two strangers", []string{"10.0.0.99 > 10.0.1.9:443"}, nil, "neither end is an address of the machine"},
		{"a stranger and itself", []string{"203.0.113.7 > 10.0.0.4:22"}, []string{"access tcp Inbound 10.0.0.4:22 203.0.113.7:0", "hop 203.0.113.7"}, ""},
		{"itself alone", []string{"10.0.0.4 > 10.0.0.4:22"}, nil, "neither end"},
		{"Azure's own address", []string{"10.0.0.4 > 168.63.129.16:53"}, nil, "Azure_s own"},
		{"many of the world", []string{"10.0.0.4 > 224.0.0.251:5353"}, nil, "none that is routed"},
		{"everybody", []string{"10.0.0.4 > 255.255.255.255:67"}, nil, "none that is routed"},
		{"IPv6", []string{"10.0.0.4 > [2001:db8::1]:443"}, nil, "IPv4 alone"},
		{"no port", []string{"10.0.0.4 > 10.0.1.9"}, nil, "many ports"},
		{"too many", []string{"10.0.0.4 > 10.0.1.1:1", "10.0.0.4 > 10.0.1.2:2", "10.0.0.4 > 10.0.1.3:3", "10.0.0.4 > 10.0.1.4:4", "10.0.0.4 > 10.0.1.5:5"},
			[]string{"access tcp Outbound 10.0.0.4:0 10.0.1.1:1", "access tcp Outbound 10.0.0.4:0 10.0.1.2:2", "access tcp Outbound 10.0.0.4:0 10.0.1.3:3", "access tcp Outbound 10.0.0.4:0 10.0.1.4:4",
				"hop 10.0.1.1", "hop 10.0.1.2", "hop 10.0.1.3", "hop 10.0.1.4"}, "at most 4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := appliance()
			var all []controlplane.Seen
			for _, s := range tt.seen {
				all = append(all, seen(s))
			}
			c := ask(t, n, all...)
			var asked []string
			for _, q := range n.asked {
				if strings.HasPrefix(q, "access") || strings.HasPrefix(q, "hop") {
					asked = append(asked, q)
				}
			}
			slices.Sort(asked)
			if diff := cmp.Diff(tt.want, asked); diff != "" {
				t.Errorf("questions (-want +got):\n%s", diff)
			}
			if !strings.Contains(gaps(c), tt.gap) {
				t.Errorf("gaps %swant %q in them", gaps(c), tt.gap)
			}
		})
	}
}

// TestAskIsBounded: whatever Azure does, there is an answer in time.
func TestAskIsBounded(t *testing.T) {
	throttled := fmt.Errorf("%w: 429", controlplane.ErrThrottled)
	tests := []struct {
		name  string
		takes time.Duration
		fails map[string]error
		took  time.Duration
		gap   string
		asked int // at most
	}{
		{"nobody answers", time.Hour, nil, 30 * time.Second, "no answer within 30s", 1},
		{"slow answers", 11 * time.Second, nil, 30 * time.Second, "no answer within 30s", 9},
		{"throttled", time.Second, map[string]error{"interfaces": throttled}, time.Second, "no more requests", 1},
		{"throttled later", time.Second, map[string]error{"access": throttled, "hop": throttled, "rules": throttled}, 2 * time.Second, "no more requests", 7},
		{"denied", time.Second, map[string]error{"hop": fmt.Errorf("%w: 403", controlplane.ErrDenied)}, 3 * time.Second, "may not ask", 20},
		{"broken", time.Second, map[string]error{"names": errors.New("HTTP 500")}, 3 * time.Second, "HTTP 500", 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := appliance()
				n.takes, n.fails = tt.takes, tt.fails
				c := controlplane.Ask(t.Context(), n, controlplane.Inquiry{
					Subject: controlplane.Subject{ID: vm, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.4")}},
					Seen:    []controlplane.Seen{seen("10.0.0.4 > 10.0.1.1:1"), seen("10.0.0.4 > 10.0.1.2:2"), seen("10.0.0.4 > 10.0.1.3:3")},
				})
				if c.Took != tt.took {
					t.Errorf("it took %v, want %v", c.Took, tt.took)
				}
				if !strings.Contains(gaps(c), tt.gap) {
					t.Errorf("gaps:\n%swant %q in them", gaps(c), tt.gap)
				}
				if len(n.asked) > tt.asked || n.most > 6 {
					t.Errorf("%d questions, %d of them at once:\n%s", len(n.asked), n.most, strings.Join(n.asked, "\n"))
				}
				if len(c.Flows) != 3 {
					t.Errorf("%d flows, want those that were chosen", len(c.Flows))
				}
			})
		})
	}
}

// TestAskCancelled: the invocation ends, and so does the inquiry.
func TestAskCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := appliance()
		n.takes = time.Minute
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(3*time.Second, func() { cancel(errors.New("the app stops")) })
		c := controlplane.Ask(ctx, n, controlplane.Inquiry{Subject: controlplane.Subject{ID: vm}, Seen: []controlplane.Seen{seen("10.0.0.4 > 10.0.1.1:1")}})
		if c.Took != 3*time.Second || !strings.Contains(gaps(c), "the app stops") && !strings.Contains(gaps(c), "canceled") {
			t.Errorf("it took %v, gaps %s", c.Took, gaps(c))
		}
	})
}

// TestAskOddNames: whoever names a resource has no say in what a report does.
func TestAskOddNames(t *testing.T) {
	n := appliance()
	odd := "x\x1b[2J\u202e<script>alert(1)</script>\n${jndi:ldap://x}`'\"" + strings.Repeat("A", 4000)
	n.rule, n.of = odd, odd
	n.hop.Type, n.hop.RouteTable = odd, "/"+odd
	n.fails = map[string]error{"tags": errors.New(odd)}
	other := seen("10.0.0.4 > 52.1.2.3:443")
	c := ask(t, n, seen("10.0.0.4 > 10.0.1.9:443"), other)
	doc, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"\\u001b", "\u202e", "\\u003c", "<", "${", "`", "'", "\\n", "\\\""} {
		if strings.Contains(string(doc), bad) {
			t.Errorf("the context holds %q:\n%.600s", bad, doc)
		}
	}
	if len(doc) > 20<<10 {
		t.Errorf("the context has %d bytes", len(doc))
	}
}

func TestAskCapsNames(t *testing.T) {
	n := appliance()
	var many []netip.Addr
	for a := netip.MustParseAddr("52.0.0.0"); len(many) < 5000; a = a.Next() {
		many = append(many, a)
	}
	controlplane.Ask(t.Context(), n, controlplane.Inquiry{Subject: controlplane.Subject{ID: vm}, Addresses: many})
	for _, q := range n.asked {
		if got := strings.Count(q, "52."); strings.HasPrefix(q, "tags") && got != controlplane.MaxNames {
			t.Errorf("%d addresses are asked about, want %d", got, controlplane.MaxNames)
		}
	}
}

func TestDeciding(t *testing.T) {
	flow := func(text string) *finding.Flow { f := seen(text).Flow; return &f }
	findings := []finding.Finding{
		{Kind: "tcp.connect-timeout", Severity: finding.High, Flow: flow("10.0.0.4 > 10.0.1.1:1"), Culprit: finding.Firewall, Confidence: 0.7},
		{Kind: "dns.resolver-unreachable", Severity: finding.Medium, Flow: flow("10.0.0.4 > 10.0.1.2:53")},
		{Kind: "dns.fallback", Severity: finding.Medium, Flow: flow("10.0.0.4 > 10.0.1.2:53")}, // the same
		{Kind: "dns.fallback", Severity: finding.Medium, Flow: flow("10.0.0.4 > 10.0.1.3:53"), Detail: map[string]any{"rcode": "SERVFAIL"}},
		{Kind: "tcp.half-open", Severity: finding.Critical, Flow: flow("10.0.0.4 > 10.0.1.4:53"), Detail: map[string]any{"flood": true}},
		{Kind: "traffic.beacon", Severity: finding.High, Flow: flow("10.0.0.4 > 10.0.1.5:53")},
		{Kind: "tcp.reset", Severity: finding.High, Flow: &finding.Flow{Protocol: "tcp", Server: endpoint("10.0.1.6:1")}},
		{Kind: "tcp.reset", Severity: finding.Low, Flow: flow("10.0.0.4 > 10.0.1.7:53")},
		{Kind: "dns.timeout", Severity: finding.Low, Flow: flow("10.0.0.4 > 10.0.1.8:53"), Detail: map[string]any{"questions": 3, "unanswered": 3}},
	}
	var got []string
	for _, s := range controlplane.Deciding(findings, []int{8, 0, 99, -1}) {
		got = append(got, fmt.Sprintf("%d %s %s", s.Finding, s.Flow.Server, s.Outcome))
	}
	want := []string{"8 10.0.1.8:53 unanswered", "0 10.0.1.1:1 unanswered", "1 10.0.1.2:53 unanswered", "3 10.0.1.3:53 passed"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flows (-want +got):\n%s", diff)
	}
}

func FuzzHarmless(f *testing.F) {
	for _, s := range []string{"nsg-1", "/subscriptions/x/résumé", "a\x00b\u202e\u2066", "\xff\xfe", strings.Repeat("é", 600), "שלום", "\u3164"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := controlplane.Harmless(s)
		if len(out) > 520 || strings.ContainsAny(out, "<>\"'`${}\\\n\r\t\x1b&\u202e\u2066") {
			t.Errorf("Harmless(%q) = %q", s, out)
		}
		if again := controlplane.Harmless(out); len(s) < 500 && again != out {
			t.Errorf("Harmless(%q) = %q, and of that %q", s, out, again)
		}
	})
}

// FuzzMatching: rules as Azure spells them are read, whatever they say.
func FuzzMatching(f *testing.F) {
	f.Add("Tcp", "10.0.0.0/8", "*", "443", uint16(443))
	f.Add("All", "VirtualNetwork", "0.0.0.0/0", "0-65535", uint16(0))
	f.Add("", "::/0", "fe80::/64", "9-1", uint16(9))
	f.Fuzz(func(t *testing.T, protocol, source, destination, ports string, port uint16) {
		r := controlplane.NewRule(controlplane.Rule{Name: "r", Direction: controlplane.Outbound}, protocol,
			controlplane.End{Prefixes: []string{source}}, controlplane.End{Prefixes: []string{destination}, Ports: []string{ports}})
		q := controlplane.Question{
			Protocol: "tcp", Direction: controlplane.Outbound,
			Local: netip.MustParseAddrPort("10.0.0.4:40000"), Remote: netip.AddrPortFrom(netip.MustParseAddr("10.0.9.9"), port),
		}
		if strings.ContainsAny(r.Source+r.Destination+r.Ports+r.Protocol, "<>\n\x1b") {
			t.Errorf("rule %+v", r)
		}
		if got := controlplane.Matching([]controlplane.Rule{r, r, r, r, r, r, r, r}, q); len(got) > controlplane.MaxRules {
			t.Errorf("%d rules", len(got))
		}
	})
}
