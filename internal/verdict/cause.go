// Package verdict turns what was found in a capture into one cause, one
// culprit and one paragraph, and says how sure it is. It says only what the
// place of the capture can show.
package verdict

import "github.com/pcapwarden/pcapwarden/internal/finding"

// A Cause says in a word what is wrong. The list is a contract.
type Cause string

// The causes.
const (
	Healthy         Cause = "healthy"
	NoTraffic       Cause = "no-traffic"
	ConnectBlocked  Cause = "connect-blocked"
	ConnectRefused  Cause = "connect-refused"
	Reset           Cause = "reset"
	IdleTimeout     Cause = "idle-timeout"
	TLSRejected     Cause = "tls-rejected"
	DNSUnreachable  Cause = "dns-unreachable"
	DNSFailure      Cause = "dns-failure"
	SlowDNS         Cause = "slow-dns"
	PacketLoss      Cause = "packet-loss"
	Reordering      Cause = "reordering"
	ReceiverStalled Cause = "receiver-stalled"
	SlowServer      Cause = "slow-server"
	SlowNetwork     Cause = "slow-network"
	SlowClient      Cause = "slow-client"
	MTUBlackhole    Cause = "mtu-blackhole"
	Asymmetric      Cause = "asymmetric"
	ICMPUnreachable Cause = "icmp-unreachable"
	ConnectionChurn Cause = "connection-churn"
	Suspicious      Cause = "suspicious"
	Exposure        Cause = "exposure"
	Inconclusive    Cause = "inconclusive"
)

// A Verdict is what the findings come to: one cause, and a paragraph that can
// be read aloud.
type Verdict struct {
	Cause      Cause           `json:"cause"`
	Culprit    finding.Culprit `json:"culprit"`
	Summary    string          `json:"summary"`
	Confidence float64         `json:"confidence"` // 0 to 1
	Findings   []int           `json:"findings"`   // indexes of the findings, the deciding one first
	NextStep   string          `json:"nextStep"`   // what to look at next
}
