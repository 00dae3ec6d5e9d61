package controlplane_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

const (
	nsg   = "/subscriptions/1/resourceGroups/shop/providers/Microsoft.Network/networkSecurityGroups/nsg-front"
	table = "/subscriptions/1/resourceGroups/shop/providers/Microsoft.Network/routeTables/via-firewall"
)

func endpoint(text string) finding.Endpoint {
	var e finding.Endpoint
	if err := e.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return e
}

// packets reads "tcp 10.0.0.4 > 10.0.9.9:443 unanswered firewall": protocol,
// local end, who opened it, remote end, outcome, culprit.
func packets(text string) controlplane.Packets {
	f := strings.Fields(text)
	p := controlplane.Packets{
		Protocol: f[0], Direction: controlplane.Outbound, Local: endpoint(f[1]), Remote: endpoint(f[3]),
		Outcome: controlplane.Outcome(f[4]), Culprit: finding.Culprit(f[5]),
	}
	if f[2] == "<" {
		p.Direction = controlplane.Inbound
	}
	return p
}

// rules reads "allow RULE", "deny RULE", "?", and a next hop with its address:
// "allow AllowVnet VirtualAppliance 10.0.9.4".
func rules(text string) controlplane.Rules {
	var r controlplane.Rules
	f := strings.Fields(text)
	if f[0] != "?" {
		r.Access = &controlplane.Access{Allowed: f[0] == "allow", Rule: f[1], Group: nsg}
		f = f[1:]
	}
	if len(f) > 1 {
		r.NextHop = &controlplane.Hop{Type: f[1], RouteTable: "System Route"}
	}
	for _, w := range f[min(len(f), 2):] {
		if w == "nobody" {
			r.Nobody = true
		} else {
			r.NextHop.Address, r.NextHop.RouteTable = netip.MustParseAddr(w), table
		}
	}
	return r
}

func TestJudge(t *testing.T) {
	const (
		out = "tcp 10.0.0.4 > 10.0.9.9:443 "
		in  = "tcp 10.0.0.4:443 < 203.0.113.9 "
		dns = "udp 10.0.0.4 > 10.0.9.9:53 "
	)
	tests := []struct {
		name    string
		packets string
		rules   string
		want    controlplane.Agreement
		weight  int
		culprit finding.Culprit
		says    []string // in the sentence
		next    string   // in the next step
	}{
		// Nothing is known.
		{"no rule is known", out + "unanswered firewall", "?", "unclear", 0, "", nil, ""},

		// What left and was not answered.
		{"the group drops it", out + "unanswered server", "deny no-web VnetLocal", "agree", 1, "firewall", []string{"the NSG denies 10.0.0.4 to 10.0.9.9:443 (rule no-web of nsg-front)", "got no further than the security group"}, "NSG rule no-web of nsg-front denies 10.0.0.4 to 10.0.9.9:443"},
		{"the route drops it", out + "unanswered server", "allow AllowVnet None", "agree", 1, "network", []string{"the route ends in the system routes", "no further than the route"}, "Mend the route to 10.0.9.9"},
		{"the appliance, maybe", out + "unanswered firewall", "allow AllowVnet VirtualAppliance 10.0.9.4", "agree", 1, "", []string{"the NSG allows", "the route goes to appliance 10.0.9.4", "the SYN left the machine and got no answer: look at the appliance"}, "Look at appliance 10.0.9.4"},
		{"the appliance rather than the server", out + "unanswered server", "allow AllowVnet VirtualAppliance 10.0.9.4", "agree", -1, "", []string{"look at the appliance"}, "route table via-firewall"},
		{"it goes straight there", out + "unanswered firewall", "allow AllowVnet VnetLocal", "agree", 0, "", []string{"stays in the virtual network", "look at 10.0.9.9"}, "inbound rules of the security groups at 10.0.9.9"},
		{"nobody has the address", dns + "unanswered resolver", "allow AllowVnet VnetLocal nobody", "agree", 1, "", []string{"the datagrams left the machine", "nobody seems to be there"}, "Find out where 10.0.9.9 is still set"},
		{"over the gateway", out + "unanswered firewall", "allow AllowVnet VirtualNetworkGateway", "agree", 0, "", []string{"the virtual network gateway", "what is behind it"}, "firewall behind it"},
		{"beyond Azure", out + "unanswered firewall", "allow AllowInternet Internet", "agree", 0, "", []string{"leads to the Internet", "look beyond Azure"}, "SNAT"},
		{"only the group is known", out + "unanswered firewall", "allow AllowVnet", "agree", 0, "", []string{"no security group of this machine is in the way"}, ""},
		{"only the route is known", out + "unanswered firewall", "? VirtualAppliance 10.0.9.4", "unclear", 1, "", []string{"The route to 10.0.9.9 goes to appliance 10.0.9.4", "look at the appliance"}, "Look at appliance"},
		{"a hop that nobody documented", out + "unanswered firewall", "allow AllowVnet HyperNetGateway", "agree", 0, "", []string{"has the next hop HyperNetGateway"}, ""},

		// What was refused, or passed.
		{"refused by whoever answers", out + "refused server", "allow AllowVnet VnetLocal", "agree", 1, "", []string{"was refused", "the way is open"}, ""},
		{"refused, and an appliance is on the way", out + "refused firewall", "allow AllowVnet VirtualAppliance 10.0.9.4", "agree", 1, "", []string{"look at the appliance"}, "Look at appliance 10.0.9.4"},
		{"an answer to what may not leave", out + "refused server", "deny no-web VnetLocal", "disagree", 0, "", []string{"rules do not let out"}, "activity log"},
		{"it passed, and may not", out + "passed client", "deny no-web VnetLocal", "disagree", 0, "", []string{"packets passed both ways", "changed since"}, "activity log"},
		{"it passed where no route is", out + "passed server", "allow AllowVnet None", "disagree", 0, "", []string{"no route"}, "next hop for 10.0.9.9 is None"},
		{"nothing in the rules is at fault", out + "passed server", "allow AllowVnet VnetLocal", "agree", 1, "", []string{"neither rule nor route is at fault"}, ""},
		{"a firewall is blamed, and none is on the way", out + "passed firewall", "allow AllowVnet VnetLocal", "agree", -1, "", []string{"neither rule nor route"}, ""},
		{"a box is blamed, and here is one", out + "passed middlebox", "allow AllowVnet VirtualAppliance 10.0.9.4", "agree", 0, "", []string{"what is between the two is appliance 10.0.9.4"}, "log of appliance 10.0.9.4"},
		{"the other direction is elsewhere", out + "one-way network", "allow AllowVnet", "agree", 0, "", []string{"another way"}, ""},

		// What came in. The packets were captured behind the rules.
		{"the machine does not answer", in + "unanswered server", "allow web Internet", "agree", 1, "", []string{"the way back leads to the Internet", "the SYN reached the machine and got no answer: look at the machine itself"}, "TCP port 443"},
		{"not the firewall then", in + "unanswered firewall", "allow web Internet", "agree", -1, "", []string{"look at the machine itself"}, ""},
		{"the machine refuses", in + "refused server", "allow web Internet", "agree", 1, "", []string{"the machine itself refuses"}, ""},
		{"it came in, and may not", in + "unanswered server", "deny DenyAllInBound Internet", "disagree", 0, "", []string{"rules do not let in"}, "activity log"},
		{"and passed", in + "passed client", "deny DenyAllInBound Internet", "disagree", 0, "", []string{"another way in"}, "activity log"},
		{"answers go elsewhere", in + "half-open network", "allow web VirtualAppliance 10.0.9.4", "agree", 1, "", []string{"the way back goes to appliance 10.0.9.4", "may not have seen"}, "route table via-firewall"},
		{"answers go nowhere", in + "half-open network", "allow web None", "agree", 1, "network", []string{"no further than the route"}, "Mend the route to 203.0.113.9"},
		{"no answer would arrive either", in + "unanswered server", "allow web None", "agree", 0, "", []string{"even an answer"}, "too"},
		{"answers leave", in + "half-open network", "allow web Internet", "agree", 0, "", []string{"nothing on this side stops the answers"}, "Capture at 203.0.113.9"},
		{"the client gives up after the handshake", in + "passed client", "allow web Internet", "agree", 1, "", []string{"packets passed both ways: neither rule nor route"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := controlplane.Judge(packets(tt.packets), rules(tt.rules))
			if v.Agreement != tt.want || v.Weight != tt.weight || v.Culprit != tt.culprit {
				t.Errorf("%s, weight %d, culprit %q; want %s, %d, %q\n%s", v.Agreement, v.Weight, v.Culprit, tt.want, tt.weight, tt.culprit, v.Sentence)
			}
			for _, s := range tt.says {
				if !strings.Contains(strings.ToLower(v.Sentence), strings.ToLower(s)) {
					t.Errorf("the sentence does not say %q:\n%s", s, v.Sentence)
				}
			}
			if (v.Sentence == "") != (tt.rules == "?") || v.Sentence != "" && (!strings.HasSuffix(v.Sentence, ".") || v.Sentence[0] < 'A' || v.Sentence[0] > 'Z') {
				t.Errorf("no sentence: %q", v.Sentence)
			}
			if !strings.Contains(v.NextStep, tt.next) {
				t.Errorf("next step %q, want %q in it", v.NextStep, tt.next)
			}
		})
	}
}

func TestApply(t *testing.T) {
	for _, tt := range []struct {
		weight       int
		before, want float64
	}{{1, 0.7, 0.85}, {1, 0.95, 0.97}, {1, 1, 1}, {0, 0.7, 0.7}, {-1, 0.8, 0.6}} {
		if got := (controlplane.Ruling{Weight: tt.weight}).Apply(tt.before); got != tt.want {
			t.Errorf("weight %d of %v comes to %v, want %v", tt.weight, tt.before, got, tt.want)
		}
	}
}

// FuzzJudge: every combination is judged, in one sentence of one line.
func FuzzJudge(f *testing.F) {
	f.Add(true, true, true, "VnetLocal", "unanswered", "rule", "server")
	f.Add(false, true, false, "None", "passed", "", "firewall")
	f.Add(true, false, true, "\u202e", "", "x", "")
	f.Fuzz(func(t *testing.T, inbound, access, allowed bool, hop, outcome, rule, culprit string) {
		p := packets("tcp 10.0.0.4 > 10.0.9.9:443 x y")
		p.Outcome, p.Culprit = controlplane.Outcome(outcome), finding.Culprit(culprit)
		if inbound {
			p.Direction = controlplane.Inbound
		}
		var r controlplane.Rules
		if access {
			r.Access = &controlplane.Access{Allowed: allowed, Rule: controlplane.Harmless(rule)}
		}
		if hop != "" {
			r.NextHop = &controlplane.Hop{Type: hop}
		}
		v := controlplane.Judge(p, r)
		if known := access || hop != ""; known != (v.Sentence != "") || strings.ContainsAny(v.Sentence, "\n\x1b\u202e<") {
			t.Errorf("known %v, sentence %q", known, v.Sentence)
		}
		if c := v.Apply(0.8); c < 0.5 || c > 0.97 {
			t.Errorf("confidence %v", c)
		}
		if v.Agreement == controlplane.Disagree && v.NextStep == "" {
			t.Error("a disagreement without a next step")
		}
	})
}
