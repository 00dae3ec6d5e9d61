// Package cleartext recognises logins that anybody on the path can read. It
// says that there was one, when and where; what was sent never leaves it.
package cleartext

import (
	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A Kind is a way to log in without protection.
type Kind string

// The kinds.
const (
	HTTPBasic Kind = "http-basic"
	FTP       Kind = "ftp"
	Telnet    Kind = "telnet"
	POP       Kind = "pop"
	IMAP      Kind = "imap"
	SMTP      Kind = "smtp"
	LDAP      Kind = "ldap"
)

// A Login is a user name or a secret that passed in the clear.
type Login struct {
	Kind  Kind
	From  stream.Side // who sent it
	Time  pcap.Timestamp
	Frame int64 // of its last byte
	// Secret: it was the secret itself, not only the user's name or a proof
	// that one of them knows it.
	Secret bool
}

// Counters are packets, as tshark 4.0.17 shows commands of these protocols.
type Counters struct {
	HTTPBasic  int `json:"http_basic"`
	FTP        int `json:"ftp_user_pass"`
	TelnetData int `json:"telnet_data_pkts"`
	POP        int `json:"pop_user_pass"`
	IMAP       int `json:"imap_login"`
	SMTP       int `json:"smtp_auth"`
}

// KindOf returns the protocol that is spoken with a server at a TCP port, as
// tshark 4.0.17 assumes.
func KindOf(port uint16) (Kind, bool) {
	switch port {
	case 21:
		return FTP, true
	case 23:
		return Telnet, true
	case 25, 587:
		return SMTP, true
	case 110:
		return POP, true
	case 143:
		return IMAP, true
	case 389, 3268:
		return LDAP, true
	}
	return "", false
}

// Dissector holds what the readers of one capture share.
type Dissector struct {
	// Login is called for each one.
	Login func(Login)

	counters Counters
	last     [4]int64 // frames in which a counter was last raised
}

// Counters returns the counts so far, without HTTPBasic.
func (d *Dissector) Counters() Counters { return d.counters }

// A Reader reads one connection.
type Reader struct {
	d        *Dissector
	kind     Kind
	server   stream.Side
	half     [2]half
	ldap     ber
	body     bool // SMTP: the client sends a message, not commands
	bodyEnds bool // SMTP: the server has not agreed to it yet
	harmless bool // FTP: the user is anonymous
	secure   bool // the client asked for TLS
	upgraded bool
	asked    bool // Telnet: the server asked for a password
	prompt   int  // Telnet: how much of "assword" the server's text ends with
}

// NewReader returns a reader for one connection; server is the side with the
// well-known port.
func (d *Dissector) NewReader(kind Kind, server stream.Side) *Reader {
	return &Reader{d: d, kind: kind, server: server}
}

// keptLine is how much of a line is kept while it is not whole: the tag and
// the command of IMAP are in it.
const keptLine = 64

// half is one direction: the line under way.
type half struct {
	n      int // its length so far
	kept   [keptLine]byte
	hidden bool // tshark does not see the bytes at hand
}

// Upgraded reports whether the connection goes on in TLS.
func (r *Reader) Upgraded() bool { return r.upgraded }

// Done reports whether nothing more is expected.
func (r *Reader) Done() bool { return r.kind == LDAP && r.ldap.lost }

// Feed takes the next bytes of one side.
func (r *Reader) Feed(c stream.Chunk) {
	if !c.Late {
		r.count(c)
	}
	switch r.kind {
	case Telnet:
		r.telnet(c)
	case LDAP:
		r.feedLDAP(c)
	default:
		r.lines(c)
	}
}

// Again takes a segment that tshark dissects twice: a fast retransmission.
func (r *Reader) Again(c stream.Chunk) { r.count(c) }

// Gap says that bytes of one side are missing: the line under way is lost.
func (r *Reader) Gap(from stream.Side, _ int64) {
	h := &r.half[from]
	clear(h.kept[:])
	h.n = 0
	r.ldap.reset()
}

// Cut says that the rest of the segment that was just fed lies beyond the
// snap length.
func (r *Reader) Cut(from stream.Side, _ int64) { r.Gap(from, 0) }

// Close says that one side sent a FIN or RST.
func (r *Reader) Close(stream.Side, pcap.Timestamp, int64, bool) {}

// Release lets go of what is held of unfinished lines: nothing more will be fed.
func (r *Reader) Release() {
	r.Gap(stream.Client, 0)
	r.Gap(stream.Server, 0)
}

// login reports one.
func (r *Reader) login(c *stream.Chunk, secret bool) {
	if r.d.Login != nil {
		r.d.Login(Login{Kind: r.kind, From: c.From, Time: c.Time, Frame: c.Frame, Secret: secret})
	}
}

// raise counts a packet once.
func (d *Dissector) raise(counter *int, slot int, frame int64) {
	if d.last[slot] != frame {
		*counter++
		d.last[slot] = frame
	}
}
