package dns

import (
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// MaxFrames is how many frame numbers of queries a Transaction names.
const MaxFrames = 8

// MaxAddresses is how many addresses of an answer a Transaction names.
const MaxAddresses = 8

// A Transaction is one question with one id from one client port to one
// server port, with what came back. A query repeated less than five seconds
// after the first one belongs to it; later it is a new Transaction (tshark
// 4.0.17 with its default retransmission timer).
type Transaction struct {
	Client, Server netip.AddrPort
	TCP            bool // over TCP; else UDP
	ID             uint16
	Name           string // presentation form in lower case, ASCII only, without the final dot; "." is the root
	Type           Type

	First, Last pcap.Timestamp // of the queries
	Queries     int
	QueryFrames []int64 // the first MaxFrames of them

	Answered    bool // a response was seen
	AnswerTime  pcap.Timestamp
	AnswerFrame int64
	RCode       RCode
	Truncated   bool         // the TC flag: the client has to come back over TCP
	CNAME       string       // the last alias on the way to Addresses, if any
	Addresses   []netip.Addr // the first MaxAddresses

	// Undecided: no response, but the capture ended less than five seconds
	// after the first query.
	Undecided bool
	// Unreachable is the frame of an ICMP error that quoted the query; 0: none.
	Unreachable int64
}

// Latency is the time from the first query to the response, as dns.time in
// tshark; 0 if there was none.
func (t *Transaction) Latency() time.Duration {
	if !t.Answered {
		return 0
	}
	return t.AnswerTime.Sub(t.First)
}

// Failed reports whether the server did not give a usable answer: none at
// all, SERVFAIL, or REFUSED. NXDOMAIN is an answer.
func (t *Transaction) Failed() bool {
	if !t.Answered {
		return !t.Undecided
	}
	return t.RCode == ServerFailure || t.RCode == Refused
}

// Slow is the latency from which an answer is late whatever the server's
// habit.
const Slow = time.Second
