package detect

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

type counted struct{ Case }

func (c *counted) Join(o *counted) { c.Merge(&o.Case) }

func TestGather(t *testing.T) {
	address := netip.MustParseAddr
	service := netip.MustParseAddrPort
	tests := []struct {
		name  string
		pairs []Pair
		want  []string
	}{
		{"each on its own", []Pair{{address("10.0.0.1"), service("10.1.0.1:80")}, {address("10.0.0.2"), service("10.1.0.2:80")}},
			[]string{"1: 10.0.0.1 to 10.1.0.1:80", "1: 10.0.0.2 to 10.1.0.2:80"}},
		{"a server that fails many", many(5, "10.0.0.%d", "10.1.0.1:80"), []string{"5: 5 clients to 10.1.0.1:80"}},
		{"a client that fails with many", many(6, "10.0.0.1", "10.1.0.%d:80"), []string{"6: 10.0.0.1 to 6 services"}},
		{"a client with many ports of a host", many(6, "10.0.0.1", "10.1.0.1:8%d"), []string{"6: 10.0.0.1 to 10.1.0.1 (6 ports)"}},
		{"three are no group", many(3, "10.0.0.%d", "10.1.0.1:80"),
			[]string{"1: 10.0.0.1 to 10.1.0.1:80", "1: 10.0.0.2 to 10.1.0.1:80", "1: 10.0.0.3 to 10.1.0.1:80"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range Gather[counted, *counted](groups(tt.pairs)) {
				got = append(got, fmt.Sprintf("%d: %s", c.Count, c.Parties()))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGatherSumsUpTheRest(t *testing.T) {
	cases := Gather[counted, *counted](groups(many(100, "10.0.0.%d", "10.1.0.%d:80")))
	total := 0
	for _, c := range cases {
		total += c.Count
	}
	if len(cases) != listed || total != 100 {
		t.Errorf("%d cases of %d connections, want %d of 100", len(cases), total, listed)
	}
	if last := cases[listed-1]; last.Parties() != "89 clients to 89 services" {
		t.Errorf("the last one is %s", last.Parties())
	}
}

// many returns n pairs; a %d in either text is the number of the pair.
func many(n int, client, server string) []Pair {
	var pairs []Pair
	text := func(format string, i int) string {
		return strings.ReplaceAll(format, "%d", strconv.Itoa(i))
	}
	for i := 1; i <= n; i++ {
		pairs = append(pairs, Pair{netip.MustParseAddr(text(client, i)), netip.MustParseAddrPort(text(server, i))})
	}
	return pairs
}

func groups(pairs []Pair) *Groups[Pair, counted] {
	g := &Groups[Pair, counted]{}
	for i, p := range pairs {
		v := g.At(p)
		v.flow = &finding.Flow{
			Client: finding.Endpoint{AddrPort: netip.AddrPortFrom(p.Client, uint16(40000+i))}, Server: finding.Endpoint{AddrPort: p.Server},
		}
		v.Clients, v.Services = 1, 1
		v.Add(1, int64(i+1))
	}
	return g
}

func TestWords(t *testing.T) {
	spans := []struct {
		d    time.Duration
		want string
	}{
		{800 * time.Microsecond, "0.8 ms"}, {48 * time.Millisecond, "48 ms"}, {1346 * time.Millisecond, "1.35 s"},
		{250 * time.Second, "4 min 10 s"}, {4 * time.Minute, "4 min"}, {125 * time.Minute, "2 h 5 min"}, {30 * time.Second, "30 s"}, {0, "0 ms"},
		{100 * time.Millisecond, "100 ms"}, {-time.Second, "-1 s"},
	}
	for _, tt := range spans {
		if got := Span(tt.d); got != tt.want {
			t.Errorf("Span(%v) is %q, want %q", tt.d, got, tt.want)
		}
	}
	shares := []struct {
		part, of int
		want     string
	}{{1, 3, "33 %"}, {1, 31, "3.2 %"}, {1, 1000, "0.1 %"}, {5, 5, "100 %"}, {0, 5, "0 %"}, {1, 0, "0 %"}, {2, 100, "2 %"}}
	for _, tt := range shares {
		if got := Share(tt.part, tt.of); got != tt.want {
			t.Errorf("Share(%d, %d) is %q, want %q", tt.part, tt.of, got, tt.want)
		}
	}
	if got := Count(2, "address") + ", " + Count(1, "address") + ", " + Count(0, "SYN"); got != "2 addresses, 1 address, 0 SYNs" {
		t.Errorf("Count: %s", got)
	}
}
