// Package http reads the heads of HTTP/1 messages: who asked what kind of
// thing, what the answer was, and how long it took. Paths, queries, cookies
// and bodies are not kept.
package http

import (
	"strconv"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Limits of what is kept.
const (
	MaxHost    = 255 // bytes of a host name
	MaxPending = 16  // requests of one connection that wait for their answer
)

// An Exchange is one request with its answer.
type Exchange struct {
	Method     string // one of a fixed list; "" if only the answer was seen
	Host       string // of the Host header; foreign text
	PathLength int    // of the request target with its query; the target itself is never kept
	Status     int    // final status; 0: no answer
	BasicAuth  bool   // the request carried Authorization: Basic

	Start         pcap.Timestamp // first byte of the request
	RequestEnd    pcap.Timestamp // its last byte; 0: it never ended
	RequestFrame  int64          // of the end of the request's head
	RequestBytes  int64          // head and body, as far as seen
	Answer        pcap.Timestamp // first byte of the answer
	AnswerFrame   int64          // of the first byte of the answer
	AnswerEnd     pcap.Timestamp // its last byte; 0: it never ended
	ResponseBytes int64          // head and body, as far as seen
}

// Latency is the time from the last byte of the request to the first byte of
// the answer; 0 without both.
func (e *Exchange) Latency() time.Duration {
	if e.Answer == 0 || e.RequestEnd == 0 {
		return 0
	}
	return e.Answer.Sub(e.RequestEnd)
}

// Counters are what tshark 4.0.17 counts in its http fields. It counts a
// message when its last byte was captured.
type Counters struct {
	Requests      int            `json:"requests"`       // packets that complete one or more requests
	ResponseCodes map[string]int `json:"response_codes"` // by status
}

// Dissector holds what the readers of one capture share.
type Dissector struct {
	// Exchange is called when an exchange is over. Its value is valid during
	// the call.
	Exchange func(*Exchange)

	requests    int
	lastRequest int64 // frame
	codes       [1000]int
	basic       int
	lastBasic   int64 // frame

	shared line
	free   []*line
	lines  int // made so far
}

// Counters returns the counts so far.
func (d *Dissector) Counters() Counters {
	c := Counters{Requests: d.requests, ResponseCodes: map[string]int{}}
	for code, n := range d.codes {
		if n > 0 {
			c.ResponseCodes[strconv.Itoa(code)] = n
		}
	}
	return c
}

// BasicAuth is how many packets completed a request with credentials in the
// clear, as tshark shows them (http.authbasic).
func (d *Dissector) BasicAuth() int { return d.basic }

func (d *Dissector) countRequest(frame int64, basic bool) {
	if frame != d.lastRequest {
		d.requests++
		d.lastRequest = frame
	}
	if basic && frame != d.lastBasic {
		d.basic++
		d.lastBasic = frame
	}
}

func (d *Dissector) countResponse(code int) { d.codes[code]++ }
