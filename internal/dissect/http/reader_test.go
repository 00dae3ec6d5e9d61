package http

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// talk feeds a reader: lines that start with ">" come from the client, with
// "<" from the server; "gap" and "cut" follow a side, "fin" ends it. Each is a
// frame, a millisecond after the one before.
func talk(t testing.TB, lines ...string) (*Dissector, []Exchange) {
	t.Helper()
	var exchanges []Exchange
	d := &Dissector{Exchange: func(e *Exchange) { exchanges = append(exchanges, *e) }}
	r := d.NewReader(true)
	for i, l := range lines {
		side := stream.Client
		if l[0] == '<' {
			side = stream.Server
		}
		frame := int64(i + 1)
		at := pcap.Timestamp(frame * 1e6)
		verb, rest, _ := strings.Cut(l[1:], " ")
		switch verb {
		case "gap":
			var n int64
			fmt.Sscan(rest, &n)
			r.Gap(side, n)
		case "late":
			r.Feed(stream.Chunk{From: side, Time: at, Frame: frame, Data: []byte(rest), Late: true})
		case "cut":
			r.Feed(stream.Chunk{From: side, Time: at, Frame: frame, Data: []byte(rest)})
			r.Cut(side, frame)
		case "again":
			r.Again(stream.Chunk{From: side, Time: at, Frame: frame, Data: []byte(rest)})
		case "fin":
			r.Close(side, at, frame, false)
		default:
			r.Feed(stream.Chunk{From: side, Time: at, Frame: frame, Data: []byte(l[1:])})
		}
	}
	r.End()
	r.Release()
	return d, exchanges
}

const (
	get = "GET /a?b HTTP/1.1\r\nHost: h.test\r\n\r\n"
	ok4 = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"
)

// The counts are what tshark 4.0.17 makes of the same packets.
func TestCountersAsTshark(t *testing.T) {
	tests := []struct {
		name     string
		talk     []string
		requests int
		codes    map[string]int
	}{
		{"head_in_two_packets", []string{">" + get[:10], ">" + get[10:], "<" + ok4}, 1, map[string]int{"200": 1}},
		{"body_never_whole", []string{">" + get, "<" + ok4[:len(ok4)-1]}, 1, nil},
		{"requests_in_one_packet_count_once", []string{">" + get + get + get, "<" + ok4 + ok4[:20], "<" + ok4[20:] + ok4}, 1, map[string]int{"200": 3}},
		{"until_the_end", []string{">" + get, "<HTTP/1.0 200 OK\r\n\r\nabc", "<def", "<fin"}, 1, map[string]int{"200": 1}},
		{"end_never_seen", []string{">" + get, "<HTTP/1.0 200 OK\r\n\r\nabc"}, 1, nil},
		{"interim_and_not_modified", []string{">" + get, "<HTTP/1.1 100 Continue\r\n\r\n", "<HTTP/1.1 304 NM\r\nContent-Length: 77\r\n\r\n"}, 1, map[string]int{"100": 1, "304": 1}},
		{"answer_to_head_has_no_body", []string{">HEAD / HTTP/1.1\r\n\r\n", "<HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n", ">" + get, "<" + ok4}, 2, map[string]int{"200": 2}},
		{"chunked", []string{">" + get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n", "<2;x\r\nab\r\n0\r\n", "<T: x\r\n\r\n", ">" + get, "<" + ok4}, 2, map[string]int{"200": 2}},
		{"unknown_method", []string{">FOOBAR / HTTP/1.1\r\n\r\n", ">PROPFIND / HTTP/1.1\r\n\r\n"}, 1, nil},
		{"method_that_tshark_does_not_know", []string{">MKCALENDAR / HTTP/1.1\r\n\r\n"}, 0, nil},
		{"bare_newlines", []string{">GET / HTTP/1.1\nHost: a\n\n", "<HTTP/1.1 404 no\nContent-Length: 0\n\n"}, 1, map[string]int{"404": 1}},
		{"request_body_in_two", []string{">POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345", ">67890"}, 1, nil},
		{"request_body_never_whole", []string{">POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345", ">fin"}, 0, nil},
		{"gap_in_a_body", []string{">" + get, "<HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nabcd", "<gap 10", "<" + strings.Repeat("x", 26) + "", ">" + get, "<HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n"}, 2, map[string]int{"201": 1}},
		{"gap_of_unknown_length", []string{">" + get, "<gap", "<xxxx\r\n\r\nyyy", "<" + ok4}, 1, map[string]int{"200": 1}},
		{"late_segment_is_not_shown", []string{">" + get, "<HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nab", "<late cd", "<efgh", "<HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n"}, 1, map[string]int{"201": 1}},
		{"cut_by_the_snap_length", []string{">cut GET /", "<cut HTTP/1.1 200 OK\r\nCont", ">cut G", ">" + get}, 2, map[string]int{"200": 1}},
		{"sent_again_fast", []string{">" + get, "<" + ok4, "<again " + ok4, "<again " + ok4[:30]}, 1, map[string]int{"200": 2}},
		{"status_is_no_number", []string{"<HTTP/1.1 abc\r\n\r\n", "<fin"}, 0, map[string]int{"0": 1}},
		{"no_content", []string{">" + get, "<HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "<" + ok4}, 1, map[string]int{"204": 1, "200": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, _ := talk(t, tt.talk...)
			if tt.codes == nil {
				tt.codes = map[string]int{}
			}
			if diff := cmp.Diff(Counters{Requests: tt.requests, ResponseCodes: tt.codes}, d.Counters()); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExchanges(t *testing.T) {
	_, got := talk(t,
		">POST /path HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n\r\n", ">body",
		">"+get, // before the first was answered
		"<HTTP/1.1 100 Continue\r\n\r\n",
		"<HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n", "<no",
		"<"+ok4,
		">"+get,
	)
	at := func(frame int) pcap.Timestamp { return pcap.Timestamp(frame * 1e6) }
	want := []Exchange{
		{
			Method: "POST", Host: "api.test", PathLength: 5, Status: 503, Start: at(1), RequestEnd: at(2), RequestFrame: 1, RequestBytes: 62,
			Answer: at(5), AnswerFrame: 5, AnswerEnd: at(6), ResponseBytes: 42,
		},
		{
			Method: "GET", Host: "h.test", PathLength: 4, Status: 200, Start: at(3), RequestEnd: at(3), RequestFrame: 3, RequestBytes: 35,
			Answer: at(7), AnswerFrame: 7, AnswerEnd: at(7), ResponseBytes: 42,
		},
		{Method: "GET", Host: "h.test", PathLength: 4, Start: at(8), RequestEnd: at(8), RequestFrame: 8, RequestBytes: 35},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exchanges (-want +got):\n%s", diff)
	}
	if got[0].Latency() != 3*time.Millisecond {
		t.Errorf("latency = %v, want 3ms", got[0].Latency())
	}
}

func TestTunnel(t *testing.T) {
	var d Dissector
	r := d.NewReader(true)
	r.Feed(stream.Chunk{From: stream.Client, Data: []byte("CONNECT a.test:443 HTTP/1.1\r\n\r\n")})
	r.Feed(stream.Chunk{From: stream.Server, Data: []byte("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")})
	if r.Tunnel() {
		t.Error("a tunnel that was refused is one")
	}
	r.Feed(stream.Chunk{From: stream.Client, Data: []byte("CONNECT a.test:443 HTTP/1.1\r\n\r\n")})
	r.Feed(stream.Chunk{From: stream.Server, Data: []byte("HTTP/1.1 200 OK\r\n\r\n")})
	if !r.Tunnel() {
		t.Error("a tunnel that was granted is none")
	}
}

func TestBasicAuth(t *testing.T) {
	tests := []struct {
		name   string
		header string
		shown  int // by tshark
		login  bool
	}{
		{"basic", "Authorization: Basic dXNlcjpwYXNz", 1, true},
		{"proxy", "proxy-authorization: Basic dXNlcjpwYXNz", 1, true},
		{"lower_case_scheme", "Authorization: basic dXNlcjpwYXNz", 0, true},
		{"not_base64", "Authorization: Basic !!", 0, true},
		{"bearer", "Authorization: Bearer dXNlcjpwYXNz", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, got := talk(t, ">GET / HTTP/1.1\r\n"+tt.header+"\r\n\r\n")
			if d.BasicAuth() != tt.shown || len(got) != 1 || got[0].BasicAuth != tt.login {
				t.Errorf("shown %d times, exchanges %+v, want %d and %v", d.BasicAuth(), got, tt.shown, tt.login)
			}
		})
	}
}

// Heads without end, and requests without answers, cost a bounded amount.
func TestLimits(t *testing.T) {
	var d Dissector
	r := d.NewReader(true)
	r.Feed(stream.Chunk{Data: []byte("GET /" + strings.Repeat("x", 1<<20))})
	r.Feed(stream.Chunk{Data: []byte(" HTTP/1.1\r\nHost: " + strings.Repeat("h", 1<<16) + "\r\n\r\n")})
	if len(r.pending) != 1 || r.pending[0].PathLength != 1<<20+1 || len(r.pending[0].Host) != MaxHost {
		t.Errorf("path of %d bytes, host of %d, want %d and %d", r.pending[0].PathLength, len(r.pending[0].Host), 1<<20+1, MaxHost)
	}
	for range 1000 {
		r.Feed(stream.Chunk{Data: []byte(get)})
	}
	if len(r.pending) != MaxPending {
		t.Errorf("%d requests wait, want %d", len(r.pending), MaxPending)
	}
	for range maxLines + 1000 {
		d.NewReader(true).Feed(stream.Chunk{Data: []byte("GET /")})
	}
	if d.lines > maxLines {
		t.Errorf("%d lines under way, want at most %d", d.lines, maxLines)
	}
}

func TestNoAllocations(t *testing.T) {
	var d Dissector
	r := d.NewReader(true)
	body := []byte(strings.Repeat("x", 1400))
	r.Feed(stream.Chunk{From: stream.Server, Data: []byte("HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")})
	if n := testing.AllocsPerRun(1000, func() { r.Feed(stream.Chunk{From: stream.Server, Data: body}) }); n != 0 {
		t.Errorf("%v allocations for a packet of a body, want none", n)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(get+get), []byte(ok4+"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"), uint8(1))
	f.Add([]byte("\r\nHEAD / HTTP/1.1\nAuthorization: Basic eA==\n\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"), []byte("HTTP/1.1 200\n\n"), uint8(4))
	f.Fuzz(func(t *testing.T, client, server []byte, size uint8) {
		type result struct {
			Counters  Counters
			Logins    int
			Exchanges []Exchange
			Lost      bool
		}
		read := func(size int) (out result) {
			d := &Dissector{Exchange: func(e *Exchange) { out.Exchanges = append(out.Exchanges, *e) }}
			r := d.NewReader(true)
			for side, data := range [2][]byte{client, server} {
				for len(data) > 0 {
					n := min(size, len(data))
					r.Feed(stream.Chunk{From: stream.Side(side), Frame: 1, Data: data[:n]})
					data = data[n:]
				}
			}
			out.Lost = r.half[0].state == lost || r.half[1].state == lost || r.mode != plain
			r.Close(stream.Server, 0, 1, false)
			r.End()
			out.Counters, out.Logins = d.Counters(), r.Logins()
			r.Release()
			if len(d.free) != d.lines {
				t.Fatalf("%d lines were made, %d came back", d.lines, len(d.free))
			}
			return out
		}
		whole, cut := read(1<<20), read(int(size)+1)
		if whole.Lost || cut.Lost {
			return // it looks for a new beginning where a packet begins
		}
		if diff := cmp.Diff(whole, cut); diff != "" {
			t.Fatalf("cut into %d bytes it reads otherwise (-whole +cut):\n%s", int(size)+1, diff)
		}
	})
}
