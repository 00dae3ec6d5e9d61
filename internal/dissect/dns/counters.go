package dns

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Counters are what tshark 4.0.17 counts in its dns fields, without mDNS and
// LLMNR.
type Counters struct {
	Queries                int            `json:"queries"`
	Responses              int            `json:"responses"`
	RCodes                 map[string]int `json:"rcodes"` // by number
	RCodeNonzero           int            `json:"rcode_nonzero"`
	UnansweredTransactions int            `json:"unanswered_transactions"` // keys (both endpoints and id) with queries and no response in the whole capture
	UnansweredQueryPackets int            `json:"unanswered_query_packets"`
	RetransmittedQueries   int            `json:"retransmitted_queries"`
	RetransmittedResponses int            `json:"retransmitted_responses"`
	TruncatedResponses     int            `json:"truncated_responses"`
	Time                   *Times         `json:"time_ms"` // nil without an answered query
}

// Times sums up latencies, in milliseconds. The median is exact up to 65,536
// latencies and over the first 65,536 beyond.
type Times struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

const maxTimes = 1 << 16

// counts grow with the capture.
type counts struct {
	queries, responses                           int
	rcodes                                       [16]int
	unansweredTransactions, unansweredQueries    int
	retransmittedQueries, retransmittedResponses int
	truncated                                    int
	times                                        []time.Duration
	timeN                                        int
	maxTime                                      time.Duration
}

func (c *counts) response(m *message) {
	c.responses++
	c.rcodes[m.rcode]++
	if m.truncated {
		c.truncated++
	}
}

func (c *counts) latency(d time.Duration) {
	if c.timeN == 0 || d > c.maxTime {
		c.maxTime = d
	}
	c.timeN++
	if len(c.times) < maxTimes {
		c.times = append(c.times, d)
	}
}

// Counters returns the counts so far. Those of unanswered queries are only
// right after Finish.
func (t *Table) Counters() Counters {
	c := &t.counts
	out := Counters{
		Queries: c.queries, Responses: c.responses, RCodes: map[string]int{},
		UnansweredTransactions: c.unansweredTransactions, UnansweredQueryPackets: c.unansweredQueries,
		RetransmittedQueries: c.retransmittedQueries, RetransmittedResponses: c.retransmittedResponses,
		TruncatedResponses: c.truncated,
	}
	for code, n := range c.rcodes {
		if n == 0 {
			continue
		}
		out.RCodes[strconv.Itoa(code)] = n
		if code != 0 {
			out.RCodeNonzero += n
		}
	}
	if c.timeN > 0 {
		out.Time = &Times{N: c.timeN, Median: milliseconds(median(c.times)), Max: milliseconds(c.maxTime)}
	}
	return out
}

// Resolvers returns the servers that were asked, the busiest first.
func (t *Table) Resolvers() []Resolver {
	out := make([]Resolver, 0, len(t.resolver))
	for _, r := range t.resolver {
		out = append(out, r.summary())
	}
	slices.SortFunc(out, func(a, b Resolver) int {
		return cmp.Or(cmp.Compare(b.Asked, a.Asked), netip.Addr.Compare(a.Server, b.Server))
	})
	return out
}

func (r *resolver) summary() Resolver {
	out := r.Resolver
	out.Clients = len(r.clients)
	out.Median = median(r.latencies)
	out.Slow = r.late
	for _, d := range r.latencies {
		if d > Slow || d > max(10*out.Median, lateness) {
			out.Slow++
		}
	}
	return out
}

// median of d; between the two middle ones if their number is even.
func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(d))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
