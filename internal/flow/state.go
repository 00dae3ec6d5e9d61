package flow

import (
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// history collects Zeek's history letters: what happened first, in order.
type history struct {
	letters [20]byte
	n       uint8
	once    [2]uint8     // letters that were shown for a direction
	seqs    [2][2]uint32 // of the last FIN and RST
}

// Letters that a direction shows once; FIN and RST again for another number.
const (
	letterMulti uint8 = 1 << iota
	letterInconsistent
	letterData
	letterACK
	letterSYN
	letterFIN
	letterRST
)

// record appends the letters that p adds. Upper case is the client. Letters
// beyond the room for 20 are left out.
func (c *Conn) record(p *packet.Packet, from Direction, a Analysis) {
	h := &c.history
	d := from & 1
	if h.n >= uint8(len(h.letters)) {
		return
	}
	// Most packets bring payload or an acknowledgement, as the one before did.
	if plain := packet.SYN | packet.FIN | packet.RST; p.Flags&plain == 0 && a&(LostSegment|Resent|ZeroWindow) == 0 {
		bit := letterACK
		if p.SegmentLength > 0 {
			bit = letterData
		}
		if h.once[d]&bit != 0 {
			return
		}
	}
	add := func(letter byte) {
		if h.n < uint8(len(h.letters)) {
			if from == c.ClientSide {
				letter -= 'a' - 'A'
			}
			h.letters[h.n] = letter
			h.n++
		}
	}
	once := func(letter byte, bit uint8) {
		if h.once[d]&bit == 0 {
			h.once[d] |= bit
			add(letter)
		}
	}
	again := func(letter byte, bit uint8, last *uint32) {
		if h.once[d]&bit == 0 || *last != p.Seq {
			h.once[d] |= bit
			*last = p.Seq
			add(letter)
		}
	}
	flags := p.Flags
	syn, fin, rst := flags&packet.SYN != 0, flags&packet.FIN != 0, flags&packet.RST != 0
	switch {
	case syn && (fin || rst):
		once('q', letterMulti)
	case fin && rst:
		once('i', letterInconsistent)
	}
	if syn {
		if flags&packet.ACK != 0 {
			if a.Has(ReusedPorts) {
				h.once[d] &^= letterSYN
			}
			once('h', letterSYN)
		} else {
			once('s', letterSYN)
		}
	}
	s := &c.Sides[from]
	if a.Has(LostSegment) && decade(s.Count(LostSegment)) {
		add('g')
	}
	if a.Has(Resent) && decade(s.trouble.Resent) {
		add('t')
	}
	if a.Has(ZeroWindow) && decade(s.Count(ZeroWindow)) {
		add('w')
	}
	switch {
	case p.SegmentLength > 0 && !rst:
		once('d', letterData)
	case flags&(packet.SYN|packet.FIN|packet.RST|packet.ACK) == packet.ACK:
		once('a', letterACK)
	}
	if fin {
		again('f', letterFIN, &h.seqs[d][0])
	}
	if rst {
		again('r', letterRST, &h.seqs[d][1])
	}
}

// decade reports whether n is 1, 10, 100, ...
func decade(n uint32) bool {
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// History returns the connection's life as Zeek's history letters, upper case
// for the client: s SYN, h SYN-ACK, a pure ACK, d payload, f FIN, r RST, g
// gap, t retransmitted payload, w zero window, q SYN with FIN or RST, i FIN with
// RST; a, d, q and i once a side, g, t and w the 1st, 10th, 100th time. A "^" in
// front says that the server's packet was the first.
func (c *Conn) History() string {
	letters := string(c.history.letters[:c.history.n])
	if letters != "" && letters[0] >= 'a' {
		return "^" + letters
	}
	return letters
}

// endState is what became of one side, in Zeek's terms.
type endState uint8

const (
	inactive endState = iota
	partial           // sent packets, but not from the beginning
	synSent
	synAckSent
	established
	closed
	wasReset
)

// State returns Zeek's conn_state:
//
//	S0     SYN, no reply
//	S1     established, not closed
//	SF     established and closed by both sides
//	REJ    SYN refused by a RST
//	S2, S3 closed by the client or the server only
//	RSTO   aborted by the client; RSTR by the server
//	RSTOS0 SYN, then a RST from the client, no SYN-ACK
//	RSTRH  SYN-ACK, then a RST from the server, no SYN
//	SH     SYN, then a FIN, no SYN-ACK; SHR the server's half of it
//	OTH    none of these, mostly midstream traffic
//
// A RST of a side after both sent their FIN does not count.
func (c *Conn) State() string {
	o, r := c.sideState(c.ClientSide), c.sideState(c.ClientSide.Other())
	silent := func(s endState) bool { return s == inactive || s == partial }
	switch {
	case r == wasReset && (o == synSent || o == synAckSent || o == wasReset && c.Sides[0].Bytes+c.Sides[1].Bytes == 0):
		return "REJ"
	case r == wasReset && silent(o):
		return "RSTRH"
	case r == wasReset:
		return "RSTR"
	case o == wasReset && silent(r) && abandoned(c.History()):
		return "RSTOS0"
	case o == wasReset && silent(r):
		return "OTH"
	case o == wasReset:
		return "RSTO"
	case o == closed && r == closed:
		return "SF"
	case o == closed && silent(r):
		return "SH"
	case o == closed:
		return "S2"
	case r == closed && silent(o):
		return "SHR"
	case r == closed:
		return "S3"
	case o == synSent && r == inactive:
		return "S0"
	case o == established && r == established:
		return "S1"
	}
	return "OTH"
}

func (c *Conn) sideState(d Direction) endState {
	s, peer := &c.Sides[d], &c.Sides[d.Other()]
	syn, synack := c.Completeness.Has(SawSYN), c.Completeness.Has(SawSYNACK)
	switch {
	case s.RSTs > 0 && !(s.FINs > 0 && peer.FINs > 0):
		return wasReset
	case s.FINs > 0:
		return closed
	case syn && synack:
		return established
	case syn && d == c.ClientSide:
		return synSent
	case synack && d != c.ClientSide:
		return synAckSent
	case s.Packets > 0:
		return partial
	}
	return inactive
}

// abandoned reports whether history is a SYN that its sender took back: no
// SYN-ACK, ACK, FIN or oddity of the client before its RST.
func abandoned(history string) bool {
	history = strings.TrimPrefix(history, "^")
	rst := strings.LastIndexByte(history, 'R')
	return rst > 0 && history[0] == 'S' && !strings.ContainsAny(history[:strings.IndexByte(history, 'R')], "HAFGIQ")
}
