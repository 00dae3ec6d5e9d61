// Package reset knows connections that one side, or something in between,
// broke off.
//
// Details of tcp.reset: how (see the constants), endedWith (RST or FIN), phase
// (of the first RST, as in the counters), by (client, server or unknown),
// broken and connections (of the same parties: how many were broken, of how
// many), percent, otherMachine (TTL or IP identification say that something
// else made the RST) with rstTTL and usualTTL, and for idle-timeout
// idleSeconds (the longest silence before).
package reset

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// Detector reports broken connections.
var Detector = &detect.Detector{
	Name: "reset",
	Reports: []detect.Reported{{
		Kind: "tcp.reset",
		Means: "A connection was broken off: the server, or something in between, reset or closed it before it answered, or after a silence; " +
			"or the client gave it up.",
		Threshold: "one connection; high if half of those between the same parties or more are broken, medium from 10 %, else low. " +
			"An idle timeout is never below medium (low if only keep-alives went unanswered), a client that gives up never above low. " +
			"A RST after a FIN in a conversation that had its answer, one after the client's last answer, and a client that hangs up without a word " +
			"are normal ends; before the end of a TLS handshake it is tls.handshake-reset",
		Next: "Look at the log of the side that broke off for this time: a crash, a limit, a full queue. A RST of another machine comes from a firewall, a proxy or a load balancer on the way.",
	}},
	Start: start,
}

// how a connection was broken.
type how int

// The ways, as the detail "how" has them.
const (
	unanswered  how = iota // "unanswered": reset instead of an answer
	closed                 // "closed": FIN instead of an answer
	atOnce                 // "at-once": accepted, and broken before anything was said
	cut                    // "cut": reset in the middle of an answer
	idleTimeout            // "idle-timeout": reset after a silence, by something in between
	gaveUp                 // "gave-up": the client aborted
	foreign                // "injected": a RST that neither side made
	ways
)

var names = [ways]string{"unanswered", "closed", "at-once", "cut", "idle-timeout", "gave-up", "injected"}

const (
	// idle is from when on a silence may have outlasted the memory of a
	// stateful device. Real ones forget after minutes (Azure's load balancer
	// after 4 to 100, its NAT gateway after 4 to 120); how long it was is in
	// the finding.
	idle = 3 * time.Second
	// soon is within what time a server that closes an accepted connection
	// has not waited for the client.
	soon = time.Second
	// hasty is a client that does not wait for an answer at all.
	hasty = 10 * time.Millisecond
	// patience is how long a client waits before it is the server that was
	// slow: app.slow-response.
	patience = 5 * time.Second
)

type state struct {
	pass *detect.Pass
	ways [ways]detect.Groups[detect.Pair, broken]
}

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p}
	for i := range s.ways {
		p.Bound(&s.ways[i])
	}
	return detect.Hooks{Connection: s.connection, End: s.end}
}

func (s *state) connection(c *detect.Connection) {
	k := c.Pair()
	if k.Platform() || c.OneWay() || c.RST().Phase == flow.AfterSYN || c.RST().Phase == flow.AfterSYNACK && c.RST().From == c.ClientSide {
		return
	}
	way, proof := judge(c)
	if way == ways {
		return
	}
	if g := s.ways[way].At(k); g != nil {
		g.add(c, proof)
	}
}

// judge says how c was broken, if it was, with the packets that prove it.
func judge(c *detect.Connection) (how, []flow.Moment) {
	if c.TLS != nil && c.TLS.Hello != nil && c.TLS.Stage() != tls.StageEstablished {
		return ways, nil
	}
	rst := c.RST()
	if b := c.Break(); b.Reset.Seen() && b.Silence() >= idle && c.Client().Talk().First.Seen() && c.Server().Talk().First.Seen() {
		asked := b.After != b.Reset
		if asked || rst.Foreign() {
			return idleTimeout, []flow.Moment{b.Before, b.After, b.Reset}
		}
	}
	if !rst.Seen() || rst.Phase == flow.AfterFIN {
		return judgeClose(c)
	}
	question, open := c.Unanswered()
	server := c.ClientSide.Other()
	switch {
	case rst.Foreign() && rst.Phase != flow.AfterSYNACK && !c.Server().FIN.Seen() && !c.Client().FIN.Seen():
		return foreign, []flow.Moment{c.Last, question, rst.Moment}
	case rst.From == server && rst.Phase == flow.AfterSYNACK:
		return atOnce, []flow.Moment{c.SYNACK, rst.Moment}
	case rst.From == server && rst.Phase == flow.BeforeData:
		if d := rst.Since(c.HandshakeACK); d >= 0 && d <= soon {
			return atOnce, []flow.Moment{c.HandshakeACK, rst.Moment}
		}
	case rst.From == server && open && !farewell(c):
		return unanswered, []flow.Moment{question, rst.Moment}
	case rst.From == server && c.Outstanding(server) > 0 && c.Client().Talk().First.Seen():
		return cut, []flow.Moment{c.Server().Talk().Last, rst.Moment}
	case rst.From != server && open && !farewell(c) && rst.Since(question) < patience && rst.Since(question) > max(c.RTT(), hasty):
		return gaveUp, []flow.Moment{question, rst.Moment}
	}
	return ways, nil
}

// farewell reports whether the client's last words ask for no answer: the
// goodbye of a protocol after which the server may hang up as it likes (LDAP's
// unbind, MySQL's quit, PostgreSQL's terminate, the close of TLS).
func farewell(c *detect.Connection) bool {
	said, before := c.Client().Talk().Burst, c.Server().Talk().Answers
	switch {
	case before == 0 || c.Service == "http":
		return false
	case c.TLS != nil:
		return said < smallTLS
	case ldap[c.ServerAddr().Port()]:
		return said <= maxUnbind
	}
	return said <= maxGoodbye
}

var ldap = map[uint16]bool{389: true, 3268: true}

const (
	smallTLS   = 48  // bytes: a close alert, or a frame that keeps HTTP/2 going
	maxUnbind  = 160 // bytes, signed and sealed
	maxGoodbye = 8   // bytes
)

// judgeClose looks at connections that ended with a FIN first.
func judgeClose(c *detect.Connection) (how, []flow.Moment) {
	server, client := c.Server(), c.Client()
	if !server.FIN.Seen() || server.Talk().First.Seen() || c.Midstream() {
		if rst := c.RST(); rst.Seen() && rst.From != c.ClientSide && client.Talk().First.Seen() && !server.Talk().First.Seen() && !server.FIN.Seen() {
			// The client had closed its half, and waited.
			if rst.Since(client.FIN) < patience && client.FIN.Since(client.Talk().Last) < soon {
				return unanswered, []flow.Moment{client.Talk().Last, rst.Moment}
			}
		}
		return ways, nil
	}
	if client.FIN.Seen() && client.FIN.Frame < server.FIN.Frame {
		return ways, nil // the client had enough
	}
	switch asked := client.Talk().First; {
	case asked.Seen() && asked.Frame < server.FIN.Frame:
		return closed, []flow.Moment{client.Talk().Last, server.FIN}
	case !asked.Seen() && c.HandshakeACK.Frame > 0 && c.HandshakeACK.Frame < server.FIN.Frame &&
		server.FIN.Since(c.HandshakeACK) >= 0 && server.FIN.Since(c.HandshakeACK) <= soon:
		return atOnce, []flow.Moment{c.HandshakeACK, server.FIN}
	}
	return ways, nil
}
