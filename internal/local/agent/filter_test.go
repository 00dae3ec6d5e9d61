package agent

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

const machine = "10.40.1.4"

// traffic is some of everything that a machine may see.
var traffic = []struct {
	name  string
	frame []byte
}{
	{"partner_in", tcp("203.0.113.9:50000", machine+":443")},
	{"partner_out", tcp(machine+":443", "203.0.113.9:50000")},
	{"partner_last_in_range", tcp("203.0.113.15:50000", machine+":443")},
	{"partner_past_range", tcp("203.0.113.16:50000", machine+":443")},
	{"partner_other_port", tcp("203.0.113.9:50000", machine+":8443")},
	{"upload_out", tcp(machine+":50001", "203.0.113.9:443")},
	{"dns_query", udp(machine+":50002", "10.40.0.53:53")},
	{"dns_answer", udp("10.40.0.53:53", machine+":50002")},
	{"dns_tcp", tcp(machine+":50003", "10.40.0.53:53")},
	{"ntp", udp(machine+":123", "10.40.0.53:123")},
	{"ping", icmp("203.0.113.9", machine)},
	{"fragment", later(udp("203.0.113.9:53", machine+":53"))},
	{"ip_options", options(tcp("203.0.113.9:50000", machine+":443"))},
	{"neighbour", tcp("203.0.113.9:50000", "10.40.1.5:443")},
	{"ipv6", tcp("[2001:db8::9]:50000", "[2001:db8::4]:443")},
	{"ipv6_extended", extended(udp("[2001:db8::9]:50000", "[2001:db8::4]:443"))},
	{"to_itself", tcp(machine+":50004", machine+":443")},
	{"arp", arp()},
}

var filterTests = []struct {
	name    string
	machine []string
	filters []capture.Filter
	tcpdump string // the same in its language
	want    []string
}{
	{
		name: "partner", machine: []string{machine},
		filters: []capture.Filter{{Protocol: "TCP", LocalPort: "443", RemoteIP: "203.0.113.0-203.0.113.15"}},
		tcpdump: "(src host 10.40.1.4 and tcp src port 443 and dst net 203.0.113.0/28) or (dst host 10.40.1.4 and tcp dst port 443 and src net 203.0.113.0/28)",
		want:    []string{"partner_in", "partner_out", "partner_last_in_range", "ip_options"},
	},
	{
		name: "local_is_the_machine", machine: []string{machine},
		filters: []capture.Filter{{Protocol: "TCP", RemotePort: "443"}},
		tcpdump: "(src host 10.40.1.4 and tcp dst port 443) or (dst host 10.40.1.4 and tcp src port 443)",
		want:    []string{"upload_out", "to_itself"},
	},
	{
		name: "port_list", machine: []string{machine},
		filters: []capture.Filter{{Protocol: "UDP", RemotePort: "53;123;"}},
		tcpdump: "host 10.40.1.4 and udp port (53 or 123)",
		want:    []string{"dns_query", "dns_answer", "ntp"},
	},
	{
		name: "port_range_of_any_protocol", machine: []string{machine},
		filters: []capture.Filter{{Protocol: "Any", RemotePort: "53-123"}},
		tcpdump: "host 10.40.1.4 and portrange 53-123",
		want:    []string{"dns_query", "dns_answer", "dns_tcp", "ntp"},
	},
	{
		name: "any_of_two", machine: []string{machine},
		filters: []capture.Filter{
			{Protocol: "UDP", RemoteIP: "10.40.0.53", RemotePort: "53"},
			{Protocol: "TCP", RemoteIP: "203.0.113.9;203.0.113.16;", LocalPort: "443"},
		},
		tcpdump: "host 10.40.1.4 and ((host 10.40.0.53 and udp port 53) or (host (203.0.113.9 or 203.0.113.16) and tcp port 443 and not src port 50001))",
		want:    []string{"partner_in", "partner_out", "partner_past_range", "dns_query", "dns_answer", "ip_options"},
	},
	{
		name: "address_without_port_takes_icmp_and_fragments", machine: []string{machine},
		filters: []capture.Filter{{RemoteIP: "203.0.113.9"}},
		tcpdump: "host 10.40.1.4 and host 203.0.113.9",
		want:    []string{"partner_in", "partner_out", "partner_other_port", "upload_out", "ping", "fragment", "ip_options"},
	},
	{
		name: "protocol_takes_fragments", machine: []string{machine},
		filters: []capture.Filter{{Protocol: "udp"}},
		tcpdump: "host 10.40.1.4 and udp",
		want:    []string{"dns_query", "dns_answer", "ntp", "fragment"},
	},
	{
		name: "other_local_address", machine: []string{machine},
		filters: []capture.Filter{{LocalIP: "10.40.1.5"}},
		tcpdump: "ip host 10.40.1.4 and ip host 10.40.1.5",
	},
	{
		name: "no_filters", machine: []string{machine},
		tcpdump: "ip host 10.40.1.4",
		want: []string{
			"partner_in", "partner_out", "partner_last_in_range", "partner_past_range", "partner_other_port", "upload_out",
			"dns_query", "dns_answer", "dns_tcp", "ntp", "ping", "fragment", "ip_options", "to_itself",
		},
	},
	{
		name: "addresses_of_both_versions", machine: []string{machine, "2001:db8::4"},
		filters: []capture.Filter{{LocalPort: "443", RemotePort: "50000"}},
		tcpdump: "(host 10.40.1.4 or host 2001:db8::4) and ((src port 443 and dst port 50000) or (dst port 443 and src port 50000) or ip6[6] == 0)",
		want:    []string{"partner_in", "partner_out", "partner_last_in_range", "partner_past_range", "ip_options", "ipv6", "ipv6_extended"},
	},
	{
		name:    "machine_unknown",
		filters: []capture.Filter{{Protocol: "TCP", LocalIP: "10.40.1.4-10.40.1.5", LocalPort: "443"}},
		tcpdump: "(src host (10.40.1.4 or 10.40.1.5) and tcp src port 443) or (dst host (10.40.1.4 or 10.40.1.5) and tcp dst port 443)",
		want: []string{
			"partner_in", "partner_out", "partner_last_in_range", "partner_past_range", "ip_options", "neighbour", "to_itself",
		},
	},
}

func TestFilter(t *testing.T) {
	for _, tt := range filterTests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := newMatcher(tt.machine, tt.filters)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range traffic {
				if m.frame(p.frame) {
					got = append(got, p.name)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("captured (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("nothing_known", func(t *testing.T) {
		m, err := newMatcher(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range traffic {
			if !m.frame(p.frame) {
				t.Errorf("%s is not captured", p.name)
			}
		}
	})
}

// TestFilterIsTcpdumps holds the table, and with it the filter, to what
// tcpdump takes of the same packets.
func TestFilterIsTcpdumps(t *testing.T) {
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("tcpdump is not installed")
	}
	all := filepath.Join(t.TempDir(), "all.pcap")
	f, err := os.Create(all)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pcap.NewWriter(f, pcap.LinkTypeEthernet, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range traffic {
		if err := w.WritePacket(pcap.Timestamp(i+1)*1e9, len(p.frame), p.frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range filterTests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), tcpdump, "-r", all, "-w", "-", tt.tcpdump)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("tcpdump: %v\n%s", err, &stderr)
			}
			var got []string
			for _, r := range records(t, bytes.NewReader(out)) {
				got = append(got, traffic[int64(r.Time)/1e9-1].name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("tcpdump %q takes (-want +got):\n%s", tt.tcpdump, diff)
			}
		})
	}
}

func TestFilterGrammar(t *testing.T) {
	tests := []struct {
		name   string
		filter capture.Filter
		ok     bool
	}{
		{"empty", capture.Filter{}, true},
		{"azures_spelling", capture.Filter{Protocol: "Tcp"}, true},
		{"other_protocol", capture.Filter{Protocol: "ICMP"}, false},
		{"cidr", capture.Filter{RemoteIP: "10.0.0.0/8"}, false},
		{"ipv6", capture.Filter{RemoteIP: "2001:db8::1"}, false},
		{"short_address", capture.Filter{RemoteIP: "1.1.1.1-255.255.255"}, false},
		{"backward_addresses", capture.Filter{RemoteIP: "10.0.0.9-10.0.0.1"}, false},
		{"backward_ports", capture.Filter{LocalPort: "90-80"}, false},
		{"two_ranges", capture.Filter{LocalPort: "80-90;100-110"}, false},
		{"range_in_list", capture.Filter{LocalIP: "10.0.0.1;10.0.0.4-10.0.0.9"}, false},
		{"hole_in_list", capture.Filter{LocalPort: "80;;443"}, false},
		{"only_separator", capture.Filter{LocalPort: ";"}, false},
		{"port_too_large", capture.Filter{RemotePort: "65536"}, false},
		{"port_not_a_number", capture.Filter{RemotePort: "https"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := newMatcher(nil, []capture.Filter{tt.filter}); (err == nil) != tt.ok {
				t.Errorf("newMatcher(%+v) = %v, want ok %v", tt.filter, err, tt.ok)
			}
		})
	}
}

func FuzzHeaders(f *testing.F) {
	for _, p := range traffic {
		f.Add(p.frame)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, ok := readHeaders(data)
		if !ok && whole.ports {
			t.Error("ports of what is not IP")
		}
		// A cut frame never tells more than the whole one.
		cut, ok := readHeaders(slices.Clone(data[:len(data)/2]))
		if ok && cut.ports && (cut.srcPort != whole.srcPort || cut.dstPort != whole.dstPort || cut.protocol != whole.protocol) {
			t.Errorf("cut: %+v, whole: %+v", cut, whole)
		}
	})
}
