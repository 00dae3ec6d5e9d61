package flow

import "math/bits"

// Analysis is the set of things that tshark says about one segment. Unlike
// tshark's fields, the classes of a resent segment exclude one another:
// tcp.analysis.retransmission is Retransmission, FastRetransmission or
// SpuriousRetransmission.
type Analysis uint32

// The classes of tcp.analysis, then ours.
const (
	Retransmission Analysis = 1 << iota
	FastRetransmission
	SpuriousRetransmission
	OutOfOrder
	DuplicateAck
	LostSegment
	AckLostSegment
	ZeroWindow
	ZeroWindowProbe
	ZeroWindowProbeAck
	WindowFull
	WindowUpdate
	KeepAlive
	KeepAliveAck
	ReusedPorts

	// Resent, Late, Overtaken and Duplicated are not tshark's: see [Trouble].
	Resent
	Late
	Overtaken
	Duplicated

	lastClass = ReusedPorts
	classes   = 15
	tshark    = lastClass<<1 - 1 // all of them
)

// Retransmissions are the classes that tshark shows as
// tcp.analysis.retransmission.
const Retransmissions = Retransmission | FastRetransmission | SpuriousRetransmission

// Has reports whether a holds any of the given classes.
func (a Analysis) Has(any Analysis) bool { return a&any != 0 }

// index returns the place of the lowest bit of a, which must be a tshark class.
func (a Analysis) index() int { return min(bits.TrailingZeros32(uint32(a)), classes-1) }
