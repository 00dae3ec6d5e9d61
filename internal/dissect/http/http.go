// Package http reads the heads of HTTP/1 messages: who asked what kind of
// thing, what the answer was, and how long it took. Paths, queries, cookies
// and bodies are not kept.
package http

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Limits of what is kept.
const (
	MaxHead    = 64 << 10 // bytes of a start line with its headers; longer ones are skipped
	MaxHost    = 255      // bytes of a host name
	MaxPending = 16       // requests of one connection that wait for their answer
)

// An Exchange is one request with its answer.
type Exchange struct {
	Method     string // in the request's spelling, upper case letters only, at most 16; "" if only the answer was seen
	Host       string // of the Host header; foreign text
	PathLength int    // of the request target; the path itself is never kept
	Status     int    // final status; 0: no answer
	BasicAuth  bool   // the request carried Authorization: Basic

	Start         pcap.Timestamp // first byte of the request
	RequestEnd    pcap.Timestamp // its last byte
	RequestFrame  int64          // of the end of the request's head
	RequestBytes  int64          // head and body
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

// Counters are what tshark 4.0.17 counts in its http fields.
type Counters struct {
	Requests      int            `json:"requests"`
	ResponseCodes map[string]int `json:"response_codes"` // by status
}
