package tlsfail

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// handshake is one connection, to be judged.
type handshake struct {
	c *detect.Connection
	t *tls.Session
}

// server is the side that the TLS server is on.
func (h handshake) server() stream.Side { return h.t.Client.Peer() }

// of returns what a side of the TLS session sent.
func (h handshake) of(side stream.Side) *flow.Side {
	if side == stream.Client {
		return h.c.Client()
	}
	return h.c.Server()
}

// refusal returns the alert that ended the handshake, or the connection.
func (h handshake) refusal() (*tls.Alert, bool) {
	if a, ok := h.t.Failure(); ok {
		switch {
		case a.Encrypted && h.t.Incomplete:
			// What came before may be missing, and it a farewell.
		case a.Inferred && h.t.Stage() == tls.StageEstablished && a.Time.Sub(h.lastAt()) >= patience:
			// The server closed an idle connection.
		default:
			return a, true
		}
		return nil, false
	}
	over, by, _ := h.ending()
	if a, ok := h.farewell(over, by); ok {
		return a, true
	}
	// Some stacks send as a warning what they then act upon.
	if h.t.Stage() == tls.StageEstablished || !over.Seen() {
		return nil, false
	}
	for i := range h.t.Alerts {
		a := &h.t.Alerts[i]
		if !a.Encrypted && a.Level == tls.Warning && (a.Description.AboutCertificate() || a.Description == tls.HandshakeFailure) {
			return a, true
		}
	}
	return nil, false
}

// farewell returns the alert of a server of TLS 1.3 that refuses the client
// when that has finished, and has even sent its first request: all that comes
// from the server then is one record that has room for an alert and nothing
// else, and the end. A server that has nothing against the client sends session
// tickets, or an answer.
func (h handshake) farewell(over flow.Moment, by stream.Side) (*tls.Alert, bool) {
	const (
		alert      = 2 + 1 + 16 // level and description, type, tag
		alertCCM8  = 2 + 1 + 8
		rightAfter = time.Second
	)
	d := h.t.Data[h.server()]
	if h.t.Version() < tls.VersionTLS13 || h.t.ServerHello == nil || h.t.Incomplete || d.Records != 1 || d.Bytes != alert && d.Bytes != alertCCM8 {
		return nil, false
	}
	if !over.Seen() || by != h.server() || over.Time.Sub(d.FirstAt) > rightAfter || d.FirstAt.Sub(h.lastAt()) >= patience {
		return nil, false
	}
	return &tls.Alert{From: by, Time: d.FirstAt, Frame: d.First, Encrypted: true, Early: true, Inferred: true}, true
}

// ending returns the packet that began the end of the connection, who sent it
// and what it was.
func (h handshake) ending() (at flow.Moment, by stream.Side, how string) {
	take := func(m flow.Moment, side stream.Side, what string) {
		if m.Seen() && (!at.Seen() || m.Frame < at.Frame) {
			at, by, how = m, side, what
		}
	}
	take(h.c.Client().FIN, stream.Client, "FIN")
	take(h.c.Server().FIN, stream.Server, "FIN")
	rst := h.c.RST()
	from := stream.Client
	if rst.From != h.c.ClientSide {
		from = stream.Server
	}
	take(rst.Moment, from, "RST")
	if how == "FIN" {
		for _, a := range h.t.Alerts {
			if a.From == by && !a.Encrypted && a.Description == tls.CloseNotify {
				how = "close_notify"
			}
		}
	}
	return at, by, how
}

// droppedByServer reports whether a server of TLS 1.3 closed right after the
// client had finished: its verdict on the client comes that late (RFC 8446,
// 4.4.2.4), and the client's handshake is through by then.
func (h handshake) droppedByServer(over flow.Moment, by stream.Side) bool {
	return h.t.Version() >= tls.VersionTLS13 && h.t.ServerHello != nil && over.Seen() && by == h.server() &&
		h.t.Data[h.server()].Records == 0 && over.Time.Sub(h.lastAt()) < patience && !h.t.Incomplete && h.c.Client().FIN.Frame == 0
}

// next is the side whose turn it is.
func (h handshake) next() stream.Side {
	client, server := h.t.Client, h.server()
	switch h.t.Stage() {
	case tls.StageHelloRetry, tls.StageServerFlight:
		return client
	case tls.StageServerHello:
		if h.t.Resumed {
			return client
		}
		return server
	case tls.StageCertificate:
		if _, done := h.t.Seen(tls.ServerHelloDone, server); done {
			return client
		}
	case tls.StageEstablished:
		return server
	}
	return server
}

// notTLS reports whether the server answered the ClientHello with something
// else.
func (h handshake) notTLS() bool {
	if h.of(h.server()).Bytes == 0 || h.t.Data[h.server()].Records > 0 {
		return false
	}
	for _, m := range h.t.Messages {
		if m.From == h.server() {
			return false
		}
	}
	for _, a := range h.t.Alerts {
		if a.From == h.server() {
			return false
		}
	}
	return true
}

// lastMessage is the frame that the refusing side saw last: the certificate,
// where it was that.
func (h handshake) lastMessage() int64 {
	m := h.t.Messages
	for i := len(m) - 1; i >= 0; i-- {
		if m[i].Type == tls.CertificateType && m[i].From == h.server() && h.t.Stage() == tls.StageCertificate {
			return m[i].Frame
		}
	}
	if len(m) == 0 {
		return h.t.Hello.Frame
	}
	return m[len(m)-1].Frame
}

// lastAt is when the handshake last went on.
func (h handshake) lastAt() pcap.Timestamp {
	if len(h.t.Messages) == 0 {
		return h.c.First.Time
	}
	return h.t.Messages[len(h.t.Messages)-1].Time
}

// asked and sent say whether the server wants a client certificate, and gets
// one. TLS 1.3 hides both.
func (h handshake) asked() bool {
	_, ok := h.t.Seen(tls.CertificateRequest, h.server())
	return ok
}

func (h handshake) sent() bool { return len(h.t.ClientCertificates) > 0 }

// foreign reports whether a RST was sent by something on the way: it
// travelled another number of hops than what else came from its alleged
// sender. One hop may be chance; with an IP identification that is far from
// the sender's last one it is not.
func foreign(r flow.RST) bool {
	if !r.Seen() || r.UsualTTL == 0 || r.TTL == r.UsualTTL {
		return false
	}
	const near = 256
	ahead := r.IPID - r.LastIPID
	return r.TTLDiffers() || r.IPv4 && r.LastIPID != 0 && ahead > near
}

// stalled says why the silent side may be silent: what was sent to it, or what
// it sent, does not fit through the path.
func (h handshake) stalled(silent stream.Side) objection {
	for _, side := range []stream.Side{silent, silent.Peer()} {
		stall := h.of(side).Trouble().Stall
		if stall.Count >= 2 && stall.Size >= 1200 && !stall.Recovered.Seen() {
			return objection{class: "mtu", stalled: int(stall.Size), sender: side}
		}
	}
	return objection{}
}
