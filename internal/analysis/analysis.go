// Package analysis reads one capture once and says what it shows: counters
// as tshark counts them, findings with their proof, and one verdict.
package analysis

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/series"
	"github.com/pcapwarden/pcapwarden/internal/service"
	"github.com/pcapwarden/pcapwarden/internal/verdict"
)

// Schema names the version of the JSON document that an [Analysis] is.
const Schema = "pcapwarden.analysis/v1"

// An Analysis is what one capture shows. Its JSON is a contract: fields may
// be added, never renamed or removed.
type Analysis struct {
	Schema        string            `json:"schema"`
	Capture       Capture           `json:"capture"`
	Counters      Counters          `json:"counters"`
	Findings      []finding.Finding `json:"findings"` // most severe first, then as they happened
	Verdict       Verdict           `json:"verdict"`
	Conversations []Conversation    `json:"conversations"`    // the busiest, at most MaxConversations
	Ladders       []Ladder          `json:"ladders"`          // the deciding connections, at most MaxLadders
	Services      []service.Service `json:"services"`         // the most used, at most MaxServices
	Series        *series.Series    `json:"series,omitempty"` // nil: no packet has a time
	Vantage       Vantage           `json:"vantage"`
	Limits        Limits            `json:"limits"`

	Context *controlplane.Context `json:"context,omitempty"` // what Azure's rules say; see Explain
}

// Caps of what an [Analysis] lists. The counters count everything.
const (
	MaxConversations = 50
	MaxServices      = 200
	MaxLadders       = 4
	MaxLadderSteps   = 60
)

// Capture says what was read.
type Capture struct {
	File             string    `json:"file"`
	Readable         bool      `json:"readable"`
	Error            string    `json:"error,omitempty"`
	Format           string    `json:"format"` // pcap, pcapng, netmon, unknown
	LinkType         string    `json:"linkType"`
	Bytes            int64     `json:"bytes"`
	SHA256           string    `json:"sha256,omitempty"`
	Packets          int64     `json:"packets"`
	FirstPacket      time.Time `json:"firstPacket,omitzero"`
	LastPacket       time.Time `json:"lastPacket,omitzero"`
	SnapLength       int       `json:"snapLength"`
	TruncatedPackets int64     `json:"truncatedPackets"`
	CutShort         bool      `json:"cutShort"`
	Dropped          int64     `json:"dropped"` // by the capturing machine, as the file says
}

// Span is the time from the first packet to the last.
func (c Capture) Span() time.Duration { return c.LastPacket.Sub(c.FirstPacket) }

// A Cause, a Verdict and a Vantage are package verdict's.
type (
	Cause   = verdict.Cause
	Verdict = verdict.Verdict
	Vantage = verdict.Vantage
)

// The causes.
const (
	Healthy         = verdict.Healthy
	NoTraffic       = verdict.NoTraffic
	ConnectBlocked  = verdict.ConnectBlocked
	ConnectRefused  = verdict.ConnectRefused
	Reset           = verdict.Reset
	IdleTimeout     = verdict.IdleTimeout
	TLSRejected     = verdict.TLSRejected
	DNSUnreachable  = verdict.DNSUnreachable
	DNSFailure      = verdict.DNSFailure
	SlowDNS         = verdict.SlowDNS
	PacketLoss      = verdict.PacketLoss
	Reordering      = verdict.Reordering
	ReceiverStalled = verdict.ReceiverStalled
	SlowServer      = verdict.SlowServer
	SlowNetwork     = verdict.SlowNetwork
	SlowClient      = verdict.SlowClient
	MTUBlackhole    = verdict.MTUBlackhole
	Asymmetric      = verdict.Asymmetric
	ICMPUnreachable = verdict.ICMPUnreachable
	ConnectionChurn = verdict.ConnectionChurn
	Suspicious      = verdict.Suspicious
	Exposure        = verdict.Exposure
	Inconclusive    = verdict.Inconclusive
)

// A Conversation is what two endpoints exchanged. The TCP connections of a
// client to one port of a server are one conversation.
type Conversation struct {
	Protocol    string           `json:"protocol"` // tcp, udp, icmp
	Client      finding.Endpoint `json:"client"`   // without port when it used several
	Server      finding.Endpoint `json:"server"`
	SNI         string           `json:"sni,omitempty"`
	Service     string           `json:"service,omitempty"` // tls, dns, http, ... as seen, not as the port suggests
	Tunnel      string           `json:"tunnel,omitempty"`
	Connections int              `json:"connections"`
	State       string           `json:"state,omitempty"`   // Zeek's conn_state of the only or last connection
	History     string           `json:"history,omitempty"` // Zeek's history of it
	Packets     [2]int64         `json:"packets"`           // from client, from server
	Bytes       [2]int64         `json:"bytes"`             // payload, from client, from server
	Retransmits int64            `json:"retransmissions"`
	First       time.Time        `json:"first"`
	Last        time.Time        `json:"last"`
	RTT         time.Duration    `json:"rttNanoseconds,omitempty"` // median of the handshakes'
}

// A Ladder is a sequence diagram: the key packets of one connection, or of
// one lookup over several resolvers.
type Ladder struct {
	Finding int                `json:"finding"` // the finding that it proves, an index
	Title   string             `json:"title"`
	Lanes   []finding.Endpoint `json:"lanes"` // from left to right
	Steps   []Step             `json:"steps"`
}

// A Step is one packet of a [Ladder].
type Step struct {
	Packet int64     `json:"packet"`
	Time   time.Time `json:"time"`
	From   int       `json:"from"` // index of a lane
	To     int       `json:"to"`
	Label  string    `json:"label"` // "SYN", "certificate", "RST"
	Key    bool      `json:"key"`   // the finding names it
}

// Limits says whether a cap was reached, and what it dropped. With Hit, the
// findings are about a part of the capture, and say so.
type Limits struct {
	Hit     bool             `json:"hit"`
	Dropped map[string]int64 `json:"dropped,omitempty"` // what, how many
}
