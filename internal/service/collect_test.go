package service_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
	"github.com/pcapwarden/pcapwarden/internal/service"
)

func services(t *testing.T, script string) []service.Service {
	t.Helper()
	a, err := analysis.Run(t.Context(), bytes.NewReader(pcaptest.Capture(script)), analysis.Options{Detectors: []*detect.Detector{}})
	if err != nil {
		t.Fatal(err)
	}
	return a.Services
}

const exchange = `
repeat 6
+0.1   10.0.0.5:{40001+i} > 10.0.0.4:80  SYN
+0.020 10.0.0.4:80 > 10.0.0.5:{40001+i}  SYN-ACK
+0.001 10.0.0.5:{40001+i} > 10.0.0.4:80  ACK
+0.004 10.0.0.5:{40001+i} > 10.0.0.4:80  text "GET / HTTP/1.1\r\n\r\n"
+0.100 10.0.0.4:80 > 10.0.0.5:{40001+i}  text "HTTP/1.1 200 OK\r\n\r\n"
+0.001 10.0.0.5:{40001+i} > 10.0.0.4:80  FIN
+0.020 10.0.0.4:80 > 10.0.0.5:{40001+i}  FIN
+0.001 10.0.0.5:{40001+i} > 10.0.0.4:80  ACK
end
`

func TestConnections(t *testing.T) {
	all := services(t, exchange)
	if len(all) != 1 {
		t.Fatalf("%d services: %+v", len(all), all)
	}
	s := all[0]
	if s.Name() != "10.0.0.4:80" || s.Connections != 6 || s.Established != 6 || s.Answered != 6 || s.Failed() != 0 || s.Clients != 1 {
		t.Errorf("%+v", s)
	}
	for name, m := range map[string]struct {
		got  service.Spread
		want float64
	}{
		"handshake": {s.Handshake, 21}, "round trip": {s.RTT, 21}, "client think": {s.ClientThink, 4},
		"server think, without the way": {s.ServerThink, 79},
	} {
		if m.got.N != 6 || m.got.Median != m.want {
			t.Errorf("%s is %v of %d, want %v of 6", name, m.got.Median, m.got.N, m.want)
		}
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name, script string
		want         map[finding.Kind]int
	}{
		{"refused", "0 10.0.0.5:1000 > 10.0.0.4:80 SYN\n+.01 10.0.0.4:80 > 10.0.0.5:1000 RST-ACK\n", map[finding.Kind]int{"tcp.connect-refused": 1}},
		{"unanswered", "0 10.0.0.5:1000 > 10.0.0.4:80 SYN\n+1 10.0.0.5:1000 > 10.0.0.4:80 SYN seq=0\n", map[finding.Kind]int{"tcp.connect-timeout": 1}},
		{"too early to say", "0 10.0.0.5:1000 > 10.0.0.4:80 SYN\n", nil},
		{"half-open", "0 10.0.0.5:1000 > 10.0.0.4:80 SYN\n+.01 10.0.0.4:80 > 10.0.0.5:1000 SYN-ACK\n+4 10.0.0.4:80 > 10.0.0.5:1000 SYN-ACK seq=0\n", map[finding.Kind]int{"tcp.half-open": 1}},
		{"taken back", "0 10.0.0.5:1000 > 10.0.0.4:80 SYN\n+.01 10.0.0.5:1000 > 10.0.0.4:80 RST\n", nil},
		{"reset instead of an answer", handshake + "+.01 10.0.0.5:1000 > 10.0.0.4:80 data 10\n+.01 10.0.0.4:80 > 10.0.0.5:1000 RST\n", map[finding.Kind]int{"tcp.reset": 1}},
		{"reset after the answer", handshake + "+.01 10.0.0.5:1000 > 10.0.0.4:80 data 10\n+.01 10.0.0.4:80 > 10.0.0.5:1000 data 10\n+.01 10.0.0.5:1000 > 10.0.0.4:80 RST-ACK\n", nil},
		{"reset after a FIN", handshake + "+.01 10.0.0.5:1000 > 10.0.0.4:80 FIN\n+.01 10.0.0.4:80 > 10.0.0.5:1000 RST\n", nil},
		{"TLS dropped", handshake + "+.01 10.0.0.5:1000 > 10.0.0.4:80 tls client-hello sni=a.example\n+.01 10.0.0.4:80 > 10.0.0.5:1000 RST\n", map[finding.Kind]int{"tls.handshake-reset": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := services(t, tt.script)
			if len(all) != 1 {
				t.Fatalf("%d services", len(all))
			}
			if diff := cmp.Diff(tt.want, all[0].Failures, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
		})
	}
}

const handshake = "0 10.0.0.5:1000 > 10.0.0.4:80 SYN\n+.01 10.0.0.4:80 > 10.0.0.5:1000 SYN-ACK\n+.001 10.0.0.5:1000 > 10.0.0.4:80 ACK\n"

func TestResolvers(t *testing.T) {
	all := services(t, `
repeat 5
+1.000 10.0.0.5:{5000+i} > 10.0.9.4:53  query A n{i}.example id={100+i}
+3.000 10.0.0.5:{6000+i} > 10.0.0.53:53 query A n{i}.example id={200+i}
+0.010 10.0.0.53:53 > 10.0.0.5:{6000+i} answer A n{i}.example 192.0.2.1 id={200+i}
end
+9 10.0.0.5:7000 > 10.0.0.53:53 query A z.example id=9
`)
	if len(all) != 2 {
		t.Fatalf("%d services: %+v", len(all), all)
	}
	for _, s := range all {
		r := s.Resolver
		switch s.Name() {
		case "10.0.9.4":
			if r.Asked != 5 || r.Answered != 0 || r.Unanswered != 5 || r.Lookups != 5 || r.Fell != 5 || r.Wait.Median != 3010 || r.Fallback.String() != "10.0.0.53" {
				t.Errorf("%+v", r)
			}
		case "10.0.0.53":
			if r.Asked != 6 || r.Answered != 5 || r.Unanswered != 0 || r.Latency.Median != 10 || r.Fell != 0 {
				t.Errorf("%+v", r)
			}
		default:
			t.Errorf("what is %s?", s.Name())
		}
	}
}

func TestNames(t *testing.T) {
	var script strings.Builder
	for i, sni := range []string{"a.example", "a.example", "b.example"} {
		fmt.Fprint(&script, strings.NewReplacer(":1000", fmt.Sprint(":", 1000+i)).Replace(handshake+"+.01 10.0.0.5:1000 > 10.0.0.4:80 tls client-hello sni="+sni+"\n"))
	}
	names := map[string]int{}
	for _, s := range services(t, script.String()) {
		names[s.Name()] = s.Connections
	}
	if diff := cmp.Diff(map[string]int{"a.example": 2, "b.example": 1}, names); diff != "" {
		t.Errorf("services by name (-want +got):\n%s", diff)
	}
}

// TestManyServices: a scan of every port has its end, and a scan of a name has
// one too.
func TestManyServices(t *testing.T) {
	script := "repeat 6000\n+0.001 10.0.0.5:1000 > 10.0.0.4:{1+i} SYN\nend\n"
	a, err := analysis.Run(t.Context(), bytes.NewReader(pcaptest.Capture(script)), analysis.Options{Detectors: []*detect.Detector{}})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Services) != analysis.MaxServices {
		t.Errorf("%d services in the document, want %d", len(a.Services), analysis.MaxServices)
	}
	if n := a.Limits.Dropped["uses of further services"]; n != 6000-4096 {
		t.Errorf("%d uses dropped, want %d", n, 6000-4096)
	}
}

func TestJSON(t *testing.T) {
	want := services(t, exchange)
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got []service.Service
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(service.Spread{}), cmpopts.EquateComparable(finding.Endpoint{})); diff != "" {
		t.Errorf("after JSON (-want +got):\n%s", diff)
	}
}

func TestJoin(t *testing.T) {
	a := services(t, exchange)[0]
	b := services(t, strings.ReplaceAll(strings.ReplaceAll(exchange, "10.0.0.4", "10.0.0.6"), "+0.020", "+0.060"))[0]
	sum := service.Join(&a, &b)
	if sum.Connections != 12 || sum.Handshake.N != 12 || sum.Handshake.Median != 41 || sum.Server.Addr().IsValid() {
		t.Errorf("%+v", sum)
	}
	if a.Connections != 6 {
		t.Error("joining changed its operand")
	}
}
