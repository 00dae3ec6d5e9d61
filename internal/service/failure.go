package service

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// settled is how long an attempt without an answer must be open before it is
// a failure, if the capture ends: hosts send the SYN again after 1 s and 3 s
// (RFC 6298).
const settled = 3 * time.Second

// Failure says as what sort of finding a connection failed, or "". A RST after
// a FIN is the end of a connection, not a failure of it.
func Failure(conn *detect.Connection, end pcap.Timestamp) finding.Kind {
	rst := conn.RST()
	if conn.FirstSYN.Seen() && !conn.Established() && !conn.Completeness.Has(flow.SawPayload) {
		waited := conn.Reason != flow.CaptureEnded || conn.Client().SYNs > 1 || end.Sub(conn.FirstSYN.Time) >= settled
		switch {
		case rst.Seen() && rst.Phase == flow.AfterSYN && rst.From != conn.ClientSide:
			return "tcp.connect-refused"
		case rst.Seen():
			return "" // the client took it back
		case conn.SYNACK.Seen() && waited:
			return "tcp.half-open"
		case !conn.SYNACK.Seen() && waited:
			return "tcp.connect-timeout"
		}
		return ""
	}
	if t := conn.TLS; t != nil && t.Hello != nil && !t.Incomplete {
		_, alert := t.Failure()
		switch {
		case alert:
			return "tls.alert"
		case t.Stage() == tls.StageEstablished:
		case conn.Closed():
			return "tls.handshake-reset"
		case conn.Reason == flow.CaptureEnded && len(t.Messages) > 0 && end.Sub(t.Messages[len(t.Messages)-1].Time) >= settled &&
			conn.Sides[0].Retransmissions()+conn.Sides[1].Retransmissions() > 0:
			return "tls.handshake-timeout"
		}
	}
	if broken(conn) {
		return "tcp.reset"
	}
	return ""
}

// broken reports whether a RST ended the connection while something was still
// to come. Many clients, and some servers, end with one what is over.
func broken(conn *detect.Connection) bool {
	rst := conn.RST()
	if !rst.Seen() || rst.Phase == flow.AfterFIN {
		return false
	}
	server := conn.ClientSide.Other()
	_, open := conn.Unanswered()
	return open || rst.Foreign() || rst.From == server && (rst.Phase == flow.AfterSYNACK || rst.Phase == flow.BeforeData || conn.Outstanding(server) > 0)
}
