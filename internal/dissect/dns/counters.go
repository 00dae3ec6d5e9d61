package dns

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
