package latency

import (
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// responses are the answers of a service to a client.
type responses struct {
	detect.Case        // connections with slow ones
	of          int    // connections with any
	answers     int    // all of them
	slow        int    // the slow ones
	silent      int    // questions without an answer
	greetings   int    // slow words of welcome
	byNetwork   int    // connections where the acknowledgement was late as well
	service     string // "" if unknown or mixed
	near        bool
	worst       time.Duration // with the round trip
	acked       time.Duration // of the worst
	rtt         time.Duration
}

// respond looks for slow answers on a connection. farAway says that the
// path's share has been told of already.
func (s *state) respond(k detect.Pair, c *detect.Connection, farAway bool) {
	talk, rtt, l := c.Server().Talk(), c.RTT(), c.Latency()
	if e := talk.MaxAnswer; talk.Answers > 0 && isSlow(c, e, rtt) {
		acked := e.Acked.Since(e.Asked)
		if e.Acked.Frame == e.Answered.Frame {
			acked = 0 // with the answer: that says nothing of its own
		}
		late := acked > e.Took()/2 && !l.NearServer
		if late && farAway {
			return
		}
		r := s.responses.At(k)
		if r == nil {
			return
		}
		r.count(c, e.Asked, e.Acked, e.Answered)
		r.slow += max(int(talk.Slow), 1)
		if late && acked > roundTrip*rtt {
			r.byNetwork++
		}
		r.keep(e.Took(), acked, rtt, l.NearServer)
		return
	}
	if g := l.ServerGreeting; g > slow && g > roundTrip*rtt && c.Established() {
		if r := s.responses.At(k); r != nil {
			r.count(c, c.HandshakeACK, flow.Moment{}, talk.First)
			r.greetings++
			r.keep(g, 0, rtt, l.NearServer)
		}
		return
	}
	s.open(k, c)
}

// isSlow reports whether an answer is one, and slow.
func isSlow(c *detect.Connection, e flow.Exchange, rtt time.Duration) bool {
	took := e.Took()
	switch {
	case took <= slow || took <= roundTrip*rtt:
		return false
	case c.Service == "" && c.Server().Talk().First.Frame < c.Client().Talk().First.Frame:
		return false // it spoke first: who asks, and who answers?
	case c.TLS != nil && (e.Question < smallTLS || e.Answer < smallTLS):
		return false
	case c.Client().Trouble().ZeroWindowFor > took/2:
		return false // it was not allowed to answer
	}
	return true
}

// open looks at a question without an answer.
func (s *state) open(k detect.Pair, c *detect.Connection) {
	asked, open := c.Unanswered()
	client, server := c.Client(), c.Server()
	spoke := server.Talk().First.Seen()
	switch rst := c.RST(); {
	case !open || c.Outstanding(c.ClientSide) > 0 || server.FIN.Seen() && !client.FIN.Seen():
		return
	case rst.Seen() && rst.From != c.ClientSide && !client.FIN.Seen():
		return // tcp.reset
	case spoke && c.Service != "http" && c.Service != "tls":
		return // nobody knows whether there is anything to answer
	case c.TLS != nil && client.Talk().MaxSegment < smallTLS:
		return
	case !spoke && client.Talk().Last.Since(client.Talk().First) > slow:
		return // a client that goes on without waiting: logs, uploads
	case spoke && c.TLS != nil:
		return // the last record may have been an acknowledgement of HTTP/2
	}
	end := client.FIN
	if rst := c.RST(); !end.Seen() && rst.Seen() {
		end = rst.Moment
	}
	switch {
	case end.Seen() && end.Since(asked) >= gaveUp:
		if r := s.responses.At(k); r != nil {
			r.unanswered(&question{c.ClientAddr(), c.ServerAddr(), c.Service, asked, end}, end.Since(asked))
		}
	case !end.Seen() && c.Reason == flow.CaptureEnded && len(s.waiting) < maxWaiting:
		s.waiting = append(s.waiting, question{c.ClientAddr(), c.ServerAddr(), c.Service, asked, c.Last})
	case !end.Seen() && c.Reason == flow.CaptureEnded:
		s.pass.Leave(1)
	}
}

func (r *responses) count(c *detect.Connection, proof ...flow.Moment) {
	var frames []int64
	for _, m := range proof {
		frames = append(frames, m.Frame)
	}
	r.spoken(c.Service)
	r.Note(c, proof[0].Time, frames...)
	r.Last = max(r.Last, proof[len(proof)-1].Time)
}

func (r *responses) unanswered(q *question, waited time.Duration) {
	r.spoken(q.service)
	r.NoteBetween(q.client, q.server, q.asked.Time, q.asked.Frame, q.last.Frame)
	r.Last = max(r.Last, q.last.Time)
	r.silent++
	r.slow++
	r.keep(waited, 0, 0, false)
}

// spoken keeps the service that all of the connections have in common.
func (r *responses) spoken(service string) {
	if r.Count == 0 {
		r.service = service
	} else if r.service != service {
		r.service = ""
	}
}

func (r *responses) keep(think, acked, rtt time.Duration, near bool) {
	if think > r.worst {
		r.worst, r.acked, r.rtt, r.near = think, acked, rtt, near
	}
}

// Join takes over another pair's answers.
func (r *responses) Join(o *responses) {
	r.Merge(&o.Case)
	r.of += o.of
	r.answers += o.answers
	r.slow += o.slow
	r.silent += o.silent
	r.greetings += o.greetings
	r.byNetwork += o.byNetwork
	if r.service != o.service {
		r.service = ""
	}
	r.keep(o.worst, o.acked, o.rtt, o.near)
}

// think is the server's share of the worst answer.
func (r *responses) think() time.Duration {
	if r.near {
		return r.worst
	}
	return r.worst - min(r.rtt, r.worst)
}

func (r *responses) severity() finding.Severity {
	n, of := r.slow+r.greetings, max(r.answers, r.of)
	switch {
	case r.service == "" && r.silent == n && n < 3:
		return finding.Low // nobody knows whether there was anything to answer
	case r.service == "" && r.greetings == 0 && 2*n >= of:
		return finding.Medium // or it is a server that speaks when it has news
	case n >= 5 && 2*n >= of:
		return finding.High
	case 10*n >= of, 50*n >= of && r.worst >= 5*time.Second:
		return finding.Medium
	case 100*n >= of:
		return finding.Low
	}
	return finding.Info
}

func (r *responses) finding() finding.Finding {
	f := finding.Finding{
		Kind: "app.slow-response", Severity: r.severity(), Confidence: 0.85, Culprit: finding.Server, Flow: r.Flow(),
		Detail: map[string]any{
			"seconds": detect.Seconds(r.worst), "thinkSeconds": detect.Seconds(r.think()), "rttSeconds": detect.Seconds(r.rtt), "acknowledgedAfter": detect.Seconds(r.acked),
			"answers": r.answers, "slow": r.slow, "unanswered": r.silent, "percent": detect.Percent(r.slow, r.answers), "phase": "request",
			"connections": r.Count, "of": r.of, "nearServer": r.near,
		},
	}
	switch {
	case r.silent > 0 && 2*r.silent >= r.slow:
		f.Summary = fmt.Sprintf("%s from %s got no answer; the server acknowledged the request and then said nothing for %s, since %s.",
			detect.Begin(detect.OutOf(r.silent, r.answers, "request")), r.Parties(), detect.Span(r.worst), detect.Clock(r.First))
		f.Confidence = 0.75
	case r.greetings > 0 && r.greetings >= r.slow:
		f.Detail["phase"] = "greeting"
		f.Detail["slow"] = r.greetings
		f.Summary = fmt.Sprintf("On %s from %s the server took up to %s to say its first word, since %s; a name lookup of the client is the usual reason.",
			detect.OutOf(r.greetings, max(r.of, r.Count), "connection"), r.Parties(), detect.Span(r.worst), detect.Clock(r.First))
	default:
		f.Summary = fmt.Sprintf("%s to %s %s slow, %s at most, since %s.",
			detect.Begin(detect.OutOf(r.slow, r.answers, "answer")), clientOf(r), r.were(), detect.Span(r.worst), detect.Clock(r.First))
		if r.rtt > 0 {
			f.Summary += fmt.Sprintf(" The network's round trip is %s: the time is spent in the server.", detect.Span(r.rtt))
		}
	}
	if 2*r.byNetwork > r.Count {
		f.Culprit, f.Confidence = finding.Network, 0.7
		f.Summary = fmt.Sprintf("%s to %s %s slow, %s at most, since %s. Even the acknowledgement of the request took %s: the path is slow, or the server's machine stood still.",
			detect.Begin(detect.OutOf(r.slow, r.answers, "answer")), clientOf(r), r.were(), detect.Span(r.worst), detect.Clock(r.First), detect.Span(r.acked))
	}
	if r.service == "" && r.Count > 0 && r.silent == 0 && r.greetings == 0 {
		f.Confidence = min(f.Confidence, 0.6) // it may be a server that speaks when it has news
	}
	return f
}

func (r *responses) were() string {
	if r.slow == 1 {
		return "was"
	}
	return "were"
}

// clientOf names the parties from the server's side.
func clientOf(r *responses) string { return r.Client() + " from " + r.Server() }
