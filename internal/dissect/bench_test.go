package dissect_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/dissect"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// bulk is ordinary traffic: web pages, TLS downloads, DNS.
func bulk() *capture {
	c := newCapture()
	record := "\x17\x03\x03\x05\xa0" + strings.Repeat("x", 0x5a0)
	for i := range 50 {
		client := fmt.Sprintf("10.0.0.5:%d", 10000+2*i)
		h := c.connect(client, "10.0.0.9:80")
		h.client("GET /path HTTP/1.1\r\nHost: h.test\r\nUser-Agent: test\r\n\r\n")
		h.server("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n")
		for range 50 {
			h.server(strings.Repeat("x", 1400))
		}
		h.fin()
		s := c.connect(fmt.Sprintf("10.0.0.5:%d", 10001+2*i), "10.0.0.9:443")
		s.client(clientHello("a.test"))
		for range 50 {
			s.server(record)
		}
		s.fin()
	}
	return c
}

func BenchmarkAdd(b *testing.B) {
	file := bulk().file.Bytes()
	for _, with := range []bool{false, true} {
		b.Run(map[bool]string{false: "flow", true: "flow_and_dissect"}[with], func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := pcap.NewReader(bytes.NewReader(file))
				if err != nil {
					b.Fatal(err)
				}
				table := flow.NewTable(flow.Limits{})
				d := dissect.New(table, dissect.Events{})
				if with {
					table.End = func(c *flow.Conn, _ flow.Reason) { d.End(c) }
				}
				var decoder packet.Decoder
				var p packet.Packet
				for rec, err := r.Next(); err == nil; rec, err = r.Next() {
					decoder.Decode(rec, &p)
					seg := table.Add(&p)
					if with {
						d.Add(&p, seg)
					}
				}
				table.Finish()
			}
		})
	}
}
