// Package tlsfail detects TLS handshakes that did not come to an end, and says
// who ended them and what that side disliked, as far as packets can tell.
//
// Details, present where they are known:
//
//	stage            how far it came: client-hello, hello-retry, server-hello,
//	                 certificate, client-key, server-flight, established
//	by               client or server: who refused, closed, or kept silent
//	version, offered the version that was agreed on, and the best that was offered
//	alert, description, encrypted, inferred
//	                 of the alert: name and number in the clear; hidden otherwise
//	ended            RST, FIN or close_notify
//	reason           version, parameters, certificate, client-certificate, name,
//	                 protocol (ALPN), not-tls, internal, integrity, mtu; else absent
//	certificate, certificateIssuer, certificateUntil
//	                 of the server's certificate, TLS 1.2 and below
//	clientCertificateAsked, clientCertificateSent
//	clients          how many clients it happened to
//	worked           handshakes with the same server that came to their end
//	workedForClient  of these, those of the same clients
//	startTLS         the connection began in the clear
//	rstTTL, usualTTL of the RST, and of the packets of the side it claims to be from
//	middlebox        the RST is not from the side it claims to be from
//	waitedSeconds    how long nothing came
//	stalledBytes     size of the segment that was sent again and again
//	quic             it was QUIC
package tlsfail

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/quic"
	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Detector reports alerts, resets and silences during the handshake.
var Detector = &detect.Detector{
	Name: "tlsfail",
	Reports: []detect.Reported{
		{
			Kind:      "tls.alert",
			Means:     "One side ended the TLS handshake with an alert, which names the reason. The side that sent it is the one that refused. TLS 1.3 hides alerts after the ServerHello: a record of an alert's size right before the end is taken for one.",
			Threshold: "one fatal alert other than close_notify and user_canceled (RFC 8446, 6); warnings count if the connection ends with them, unrecognized_name (112) never",
			Next:      "Compare what the client offers (versions, cipher suites, name, trust store) with what the server is set up for; the alert says which of these. The log of the side that sent it says more.",
		},
		{
			Kind:      "tls.handshake-reset",
			Means:     "One side dropped the connection during the TLS handshake without saying why.",
			Threshold: "one RST or FIN between the ClientHello and the end of the handshake",
			Next:      "Ask the side that dropped it for its TLS log. Right after the certificate: a certificate policy or an inspecting appliance. Right after the ClientHello: a filter on the name (SNI) or a server that does not know it.",
		},
		{
			Kind:      "tls.handshake-timeout",
			Means:     "The handshake began and then nothing came.",
			Threshold: "no next step for 5 s (Zeek's timer for attempts), and the connection still open or closed by the side that waited",
			Next:      "Check the path MTU first: the certificate, and a ClientHello with post-quantum keys, are the first large messages. Then the load of the silent side, and a firewall that inspects TLS.",
		},
	},
	Start: start,
}

// patience is how long a side may think.
const patience = 5 * time.Second

const (
	maxServers = 4096
	maxClients = 64 // of one sort of failure
)

// key is what makes two failures the same.
type key struct {
	kind    finding.Kind
	server  netip.AddrPort
	by      stream.Side
	stage   tls.Stage
	alert   tls.AlertDescription
	hidden  bool // the alert's description is not known
	ended   string
	reason  string
	foreign bool // the RST is not from who it claims to be from
}

type failures struct {
	detect.Tally
	clients []netip.Addr // the first maxClients
	flow    *finding.Flow
	detail  map[string]any
	words   string // what the refusing side disliked
	next    string
	waited  time.Duration
}

type state struct {
	pass   *detect.Pass
	failed detect.Groups[key, failures]
	worked map[netip.AddrPort]int // handshakes that came to their end, by server
	pairs  detect.PerPair[int]    // the same, by client and server
	open   []unfinished
	quic   detect.Groups[detect.Pair, unanswered]
}

// unfinished is a handshake that was under way when the capture ended.
type unfinished struct {
	key     key
	failure failures
	client  netip.Addr
	since   pcap.Timestamp
	frames  []int64
}

// maxOpen bounds the handshakes that are judged when the end is known.
const maxOpen = 1024

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p, worked: map[netip.AddrPort]int{}}
	p.Bound(&s.failed, &s.quic)
	return detect.Hooks{Connection: s.connection, QUIC: s.datagrams, End: s.end}
}

func (s *state) connection(c *detect.Connection) {
	t := c.TLS
	if t == nil || t.Hello == nil {
		return
	}
	k := key{server: c.ServerAddr(), stage: t.Stage()}
	h := handshake{c, t}
	// With one side alone, whether an encrypted alert refused anything, or said
	// goodbye after a day's work, is not known.
	if a, ok := h.refusal(); ok && !(a.Encrypted && c.OneWay()) {
		k.kind, k.by, k.alert, k.hidden = "tls.alert", a.From, a.Description, a.Encrypted
		reason := h.objection(a)
		k.reason = reason.class
		s.add(k, h, reason, a.Time, h.lastMessage(), a.Frame)
		return
	}
	over, by, how := h.ending()
	switch {
	case k.stage == tls.StageEstablished && !h.droppedByServer(over, by):
		if _, known := s.worked[k.server]; known || len(s.worked) < maxServers {
			s.worked[k.server]++
			if n := s.pairs.At(c.Number); n != nil {
				*n++
			}
		}
	case c.OneWay() || t.Incomplete && !h.notTLS() || len(t.Messages) == 0:
		// Whatever is missing here may have been sent.
	case over.Seen() && by != h.next() && over.Time.Sub(h.lastAt()) >= patience:
		k.kind, k.by = "tls.handshake-timeout", h.next()
		s.late(k, h, over.Time.Sub(h.lastAt()), over.Frame)
	case over.Seen():
		k.kind, k.by, k.ended = "tls.handshake-reset", by, how
		reason := h.silentObjection(by)
		k.reason = reason.class
		k.foreign = how == "RST" && foreign(c.RST())
		s.add(k, h, reason, over.Time, h.lastMessage(), over.Frame)
	case c.Reason == flow.Evicted || c.Midstream():
	case len(s.open) == maxOpen:
		s.pass.Leave(1)
	default:
		k.kind, k.by = "tls.handshake-timeout", h.next()
		reason := h.stalled(k.by)
		k.reason = reason.class
		s.open = append(s.open, unfinished{k, h.describe(k, reason), c.ClientAddr().Addr(), h.lastAt(), []int64{h.lastMessage(), c.Last.Frame}})
	}
}

// workedFor is how many handshakes of a pair came to their end.
func (s *state) workedFor(k detect.Pair) int {
	if n := s.pairs.At(s.pass.Number(k)); n != nil {
		return *n
	}
	return 0
}

// add counts a failure.
func (s *state) add(k key, h handshake, o objection, at pcap.Timestamp, frames ...int64) *failures {
	f := s.failed.At(k)
	if f == nil {
		return nil
	}
	if f.flow == nil {
		*f = h.describe(k, o)
	}
	f.Add(h.c.First.Time, frames...)
	f.client(h.c.ClientAddr().Addr())
	f.Last = max(f.Last, at)
	return f
}

func (f *failures) client(a netip.Addr) {
	if len(f.clients) < maxClients && !slices.Contains(f.clients, a) {
		f.clients = append(f.clients, a)
	}
}

// late counts a side that kept silent until the other one gave up.
func (s *state) late(k key, h handshake, waited time.Duration, end int64) {
	reason := h.stalled(k.by)
	k.reason = reason.class
	if f := s.add(k, h, reason, h.c.Last.Time, h.lastMessage(), end); f != nil {
		f.waited = max(f.waited, waited)
	}
}

// unanswered are QUIC connections that a server did not answer.
type unanswered struct {
	detect.Tally
	initials, answered int
	sni                string
}

func (s *state) datagrams(c *quic.Connection) {
	u := s.quic.At(detect.Pair{Client: c.Client.Addr(), Server: c.Server})
	switch {
	case u == nil:
	case c.Answered:
		u.answered++
	default:
		u.Add(c.First, c.Frame)
		u.initials += c.Initials
		if c.Hello != nil && u.sni == "" {
			u.sni = c.Hello.SNI
		}
	}
}
