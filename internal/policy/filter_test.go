package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/policy"
)

func TestFilters(t *testing.T) {
	tests := []struct {
		name, yaml string
		want       []policy.Filter
	}{
		{"network", "{protocol: TCP, remoteIP: 10.1.2.0/23}", []policy.Filter{{Protocol: "TCP", RemoteIP: "10.1.2.0-10.1.3.255"}}},
		{"network_of_one", "{remoteIP: 10.1.2.3/32}", []policy.Filter{{Protocol: "Any", RemoteIP: "10.1.2.3"}}},
		{"half_of_all", "{remoteIP: 128.0.0.0/1}", []policy.Filter{{Protocol: "Any", RemoteIP: "128.0.0.0-255.255.255.255"}}},
		{"address", "{protocol: udp, localIP: 10.0.0.4}", []policy.Filter{{Protocol: "UDP", LocalIP: "10.0.0.4"}}},
		{"range", "{protocol: any, localIP: 10.0.0.4-10.0.0.9}", []policy.Filter{{Protocol: "Any", LocalIP: "10.0.0.4-10.0.0.9"}}},
		{"range_of_one", "{localIP: 10.0.0.4-10.0.0.4}", []policy.Filter{{Protocol: "Any", LocalIP: "10.0.0.4"}}},
		{"addresses", "{remoteIP: 10.0.0.4;10.0.0.9;}", []policy.Filter{{Protocol: "Any", RemoteIP: "10.0.0.4;10.0.0.9"}}},
		{"networks_in_a_list", "{remoteIP: [10.0.0.0/24, 10.1.0.5, 10.2.0.0-10.2.0.9]}", []policy.Filter{
			{Protocol: "Any", RemoteIP: "10.0.0.0-10.0.0.255"}, {Protocol: "Any", RemoteIP: "10.1.0.5"}, {Protocol: "Any", RemoteIP: "10.2.0.0-10.2.0.9"},
		}},
		{"networks_in_one_text", "{remoteIP: 10.0.0.0/24;10.1.0.0/24, remotePort: 443}", []policy.Filter{
			{Protocol: "Any", RemoteIP: "10.0.0.0-10.0.0.255", RemotePort: "443"}, {Protocol: "Any", RemoteIP: "10.1.0.0-10.1.0.255", RemotePort: "443"},
		}},
		{"both_sides", "{localIP: [10.0.0.1, 10.0.0.2], remoteIP: [10.1.0.0/31, 10.2.0.1]}", []policy.Filter{
			{Protocol: "Any", LocalIP: "10.0.0.1", RemoteIP: "10.1.0.0-10.1.0.1"}, {Protocol: "Any", LocalIP: "10.0.0.1", RemoteIP: "10.2.0.1"},
			{Protocol: "Any", LocalIP: "10.0.0.2", RemoteIP: "10.1.0.0-10.1.0.1"}, {Protocol: "Any", LocalIP: "10.0.0.2", RemoteIP: "10.2.0.1"},
		}},
		{"port", "{protocol: TCP, localPort: 22}", []policy.Filter{{Protocol: "TCP", LocalPort: "22"}}},
		{"port_range", "{remotePort: 80-85}", []policy.Filter{{Protocol: "Any", RemotePort: "80-85"}}},
		{"port_range_of_one", "{remotePort: 80-80}", []policy.Filter{{Protocol: "Any", RemotePort: "80"}}},
		{"port_list", `{remotePort: "80;443;"}`, []policy.Filter{{Protocol: "Any", RemotePort: "80;443"}}},
		{"all_ports_but_one", `{remotePort: "1-65534"}`, []policy.Filter{{Protocol: "Any", RemotePort: "1-65534"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := load(t, change(t, filterLine, tt.yaml))
			var got []policy.Filter
			for _, rule := range p.Profiles[0].Capture.Filters {
				got = append(got, rule.Filter)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.yaml, diff)
			}
		})
	}
}

func TestFiltersRefused(t *testing.T) {
	const f = "19 profiles[0].capture.filters"
	tests := []struct{ name, yaml, place, says string }{
		{"nothing", "{}", f + "[0]", "too wide"},
		{"protocol_alone", "{protocol: TCP}", f + "[0]", "too wide"},
		{"nulls", "{protocol: TCP, remoteIP: }", f + "[0]", "too wide"},
		{"icmp", "{protocol: ICMP, remoteIP: 10.0.0.1}", f + "[0].protocol", "use Any"},
		{"sctp", "{protocol: SCTP, remoteIP: 10.0.0.1}", f + "[0].protocol", "TCP, UDP, Any"},
		{"slash_zero", "{remoteIP: 0.0.0.0/0, remotePort: 443}", f + "[0].remoteIP", "every address"},
		{"slash_zero_elsewhere", "{localIP: 10.0.0.0/0}", f + "[0].localIP", "every address"},
		{"range_of_everything", "{remoteIP: 0.0.0.0-255.255.255.255, remotePort: 443}", f + "[0].remoteIP", "every address"},
		{"range_of_all_unicast", "{remoteIP: 1.0.0.0-223.255.255.255}", f + "[0].remoteIP", "every address"},
		{"two_halves", "{remoteIP: [0.0.0.0/1, 128.0.0.0/1]}", f + "[0].remoteIP", "every address"},
		{"two_halves_in_one_text", "{remoteIP: 128.0.0.0/1;0.0.0.0/1}", f + "[0].remoteIP", "every address"},
		{"star", "{remoteIP: '*', remotePort: 443}", f + "[0].remoteIP", "no IPv4 address"},
		{"unspecified", "{remoteIP: 0.0.0.0}", f + "[0].remoteIP", "no machine's address"},
		{"host_bits", "{remoteIP: 10.1.2.3/24}", f + "[0].remoteIP", "10.1.2.0/24"},
		{"prefix_33", "{remoteIP: 10.1.2.0/33}", f + "[0].remoteIP", "no IPv4 network"},
		{"half_a_range", "{remoteIP: 1.1.1.1-255.255.255}", f + "[0].remoteIP", "capture nothing"},
		{"range_backwards", "{remoteIP: 10.0.0.9-10.0.0.4}", f + "[0].remoteIP", "before it begins"},
		{"range_of_networks", "{remoteIP: 10.0.0.0/24-10.0.1.0/24}", f + "[0].remoteIP", "no IPv4 network"},
		{"range_in_a_list", "{remoteIP: 10.0.0.4;10.0.1.0-10.0.1.9}", f + "[0].remoteIP", "never matched"},
		{"comma", "{remoteIP: '10.0.0.4,10.0.0.5'}", f + "[0].remoteIP", "no IPv4 address"},
		{"space", "{remoteIP: '10.0.0.4; 10.0.0.5'}", f + "[0].remoteIP", "no IPv4 address"},
		{"leading_zero", "{remoteIP: 10.0.0.04}", f + "[0].remoteIP", "no IPv4 address"},
		{"short", "{remoteIP: 10.4}", f + "[0].remoteIP", "no IPv4 address"},
		{"name", "{remoteIP: partner.example}", f + "[0].remoteIP", "no IPv4 address"},
		{"ipv6", "{remoteIP: '2001:db8::1'}", f + "[0].remoteIP", "IPv6"},
		{"ipv6_network", "{remoteIP: '::/0'}", f + "[0].remoteIP", "IPv6"},
		{"ipv4_in_ipv6", "{remoteIP: '::ffff:10.0.0.1'}", f + "[0].remoteIP", "IPv6"},
		{"empty_list", "{remoteIP: []}", f + "[0].remoteIP", "empty"},
		{"port_zero", "{remotePort: 0}", f + "[0].remotePort", "1 to 65535"},
		{"port_65536", "{remotePort: 65536}", f + "[0].remotePort", "1 to 65535"},
		{"port_name", "{remotePort: https}", f + "[0].remotePort", "1 to 65535"},
		{"port_octal", "{remotePort: 0443}", f + "[0].remotePort", "1 to 65535"},
		{"port_float", "{remotePort: 443.0}", f + "[0].remotePort", "1 to 65535"},
		{"port_backwards", "{remotePort: 85-80}", f + "[0].remotePort", "before it begins"},
		{"port_comma", "{remotePort: '80,443'}", f + "[0].remotePort", "80;443"},
		{"port_list_of_yaml", "{remotePort: [80, 443]}", f + "[0].remotePort", "80;443"},
		{"port_range_in_a_list", "{remotePort: 80-85;443}", f + "[0].remotePort", "a filter for each"},
		{"every_port", "{protocol: TCP, remotePort: 1-65535}", f + "[0].remotePort", "every port"},
		{"port_placeholder", `{remotePort: "{alert.DestinationPort}"}`, f + "[0].remotePort", "only addresses"},
		{"placeholder_without_within", `{remoteIP: "{alert.DestinationAddress}"}`, f + "[0].within", "is missing"},
		{"within_everything", `{remoteIP: "{alert.DestinationAddress}", within: 0.0.0.0/0}`, f + "[0].within", "every address"},
		{"within_host_bits", `{remoteIP: "{alert.DestinationAddress}", within: 10.1.0.0/8}`, f + "[0].within", "10.0.0.0/8"},
		{"within_ipv6", `{remoteIP: "{alert.DestinationAddress}", within: "2001:db8::/32"}`, f + "[0].within", "IPv6"},
		{"within_alone", "{remotePort: 443, within: 10.0.0.0/8}", f + "[0].within", "there is none"},
		{"placeholder_in_text", `{remoteIP: "10.0.0.1;{alert.X}", within: 10.0.0.0/8}`, f + "[0].remoteIP", "whole value"},
		{"placeholder_of_another_kind", `{remoteIP: "{env.X}", within: 10.0.0.0/8}`, f + "[0].remoteIP", "whole value"},
		{"a_text", "TCP", f + "[0]", "expected keys"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			places, messages := mistakes(t, change(t, filterLine, tt.yaml))
			if !slices.Contains(places, tt.place) || !strings.Contains(messages, tt.says) {
				t.Errorf("mistakes at %q, %q; want %q at %s", places, messages, tt.says, tt.place)
			}
		})
	}
}

func TestFiltersThatAreWideTogether(t *testing.T) {
	tests := []struct {
		name, a, b string
		wide       bool
	}{
		{"addresses", "{remoteIP: 0.0.0.0/1, remotePort: 443}", "{remoteIP: 128.0.0.0/1, remotePort: 443}", true},
		{"local_addresses", "{localIP: 0.0.0.0/1}", "{localIP: 128.0.0.0/1}", true},
		{"ports", "{protocol: TCP, remotePort: 1-1023}", "{protocol: TCP, remotePort: 1024-65535}", true},
		{"other_ports", "{remoteIP: 0.0.0.0/1, remotePort: 443}", "{remoteIP: 128.0.0.0/1, remotePort: 444}", false},
		{"other_protocols", "{protocol: TCP, remoteIP: 0.0.0.0/1}", "{protocol: UDP, remoteIP: 128.0.0.0/1}", false},
		{"a_gap", "{protocol: TCP, remotePort: 1-1023}", "{protocol: TCP, remotePort: 1025-65535}", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			places, messages := mistakes(t, change(t, filterLine, tt.a+"\n        - "+tt.b))
			if got := strings.Contains(messages, "together"); got != tt.wide {
				t.Errorf("refused = %v (%q %q), want %v", got, places, messages, tt.wide)
			}
		})
	}
}

func TestTooManyFilters(t *testing.T) {
	hosts := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.9", "10.0.0.10", "10.0.0.11"}
	list := "[" + strings.Join(hosts, ", ") + "]"
	_, messages := mistakes(t, change(t, filterLine, "{localIP: "+list+", remoteIP: "+list+"}"))
	if !strings.Contains(messages, "121 filters") {
		t.Errorf("121 filters: %q", messages)
	}
	_, messages = mistakes(t, change(t, filterLine, strings.Repeat("{remotePort: 443}\n        - ", 100)+"{remotePort: 443}"))
	if !strings.Contains(messages, "more than 100 filters") {
		t.Errorf("101 filters: %q", messages)
	}
}
