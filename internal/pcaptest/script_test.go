package pcaptest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

func TestCapture(t *testing.T) {
	file := Capture(`
0.000  10.0.0.5:40001 > 10.0.0.4:443  SYN mss=1460
+0.010 10.0.0.4:443 > 10.0.0.5:40001  SYN-ACK
+0.010 10.0.0.5:40001 > 10.0.0.4:443  ACK
+0.001 10.0.0.5:40001 > 10.0.0.4:443  tls client-hello sni=www.example.com # with a name
+0.001 10.0.0.4:443 > 10.0.0.5:40001  tls server-hello + certificate cn=www.example.com + server-done
+0.001 10.0.0.5:40001 > 10.0.0.4:443  RST ttl=60
+1.000 10.0.0.5:5353 > 10.0.0.4:53    query A www.example.com id=7
+0.010 10.0.0.4:53 > 10.0.0.5:5353    answer A www.example.com 192.0.2.1 id=7
+0.000 10.0.0.1 > 10.0.0.5            icmp 3/4 quotes=4 mtu=1400
2.000  [2001:db8::1]:1 > [2001:db8::2]:2  SYN
`)
	r, err := pcap.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var d packet.Decoder
	var got []packet.Packet
	for {
		rec, err := r.Next()
		if err != nil {
			break
		}
		var p packet.Packet
		d.Decode(rec, &p)
		p.Payload = bytes.Clone(p.Payload)
		got = append(got, p)
	}
	if len(got) != 10 {
		t.Fatalf("%d packets, want 10", len(got))
	}
	if got[3].Seq != got[0].Seq+1 || got[3].Ack != got[1].Seq+1 || got[3].Payload[0] != 22 {
		t.Errorf("the client's hello: seq %d, ack %d, payload % x", got[3].Seq, got[3].Ack, got[3].Payload[:5])
	}
	if got[5].Seq != got[3].Seq+uint32(len(got[3].Payload)) || got[5].TTL != 60 {
		t.Errorf("the RST: seq %d, TTL %d", got[5].Seq, got[5].TTL)
	}
	if q := got[8].ICMP; !q.Quoted || q.QuotedDstPort != 443 || q.MTU != 1400 {
		t.Errorf("the ICMP error quotes %+v", q)
	}
	if got[9].IPVersion != 6 || got[9].Time.Time() != Epoch.Add(2e9) {
		t.Errorf("the last packet: IPv%d at %v", got[9].IPVersion, got[9].Time.Time())
	}
}

func TestRepeat(t *testing.T) {
	var got []string
	err := unroll("repeat 3\n+0.1 10.0.0.{i%2+1}:{40000+i} # a turn\n\nend\n1.0 rest", func(line string) error {
		got = append(got, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "+0.1 10.0.0.1:40000|+0.1 10.0.0.2:40001|+0.1 10.0.0.1:40002|1.0 rest"; strings.Join(got, "|") != want {
		t.Errorf("got %q", got)
	}
	for _, script := range []string{"repeat 2\nx", "repeat 2\n{i\nend", "repeat 2\n{7%i}\nend", "repeat 2\nrepeat 2", "repeat many"} {
		if err := unroll(script, func(string) error { return nil }); err == nil {
			t.Errorf("%q: no error", script)
		}
	}
}
