package tls

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// MaxMessages is how many handshake messages, and MaxAlerts how many alerts,
// a Session keeps; more are only counted.
const (
	MaxMessages = 32
	MaxAlerts   = 8
)

// A Session is what the records of one TLS connection tell without any key.
type Session struct {
	// Client is the side that sent the ClientHello. It is the connection's
	// client but for protocols that turn around, as active FTP does.
	Client stream.Side

	Hello       *ClientHello // nil: not seen
	ServerHello *ServerHello // nil: not seen; never a HelloRetryRequest
	HelloRetry  *ServerHello // the HelloRetryRequest, nil: none

	// Leaf first; TLS 1.3 encrypts them. Shared with other sessions: not to be changed.
	Certificates       []Certificate // of the server
	ClientCertificates []Certificate

	Messages     []Message // plaintext handshake messages in order, and ChangeCipherSpec, the first MaxMessages
	MessageCount int
	Alerts       []Alert // the first MaxAlerts
	AlertCount   int

	// Application data records by side. In TLS 1.3 the handshake hides in
	// such records: those before ClientFinished and ServerFinished are not
	// counted as data.
	Data [2]AppData

	// History has a letter for each step, upper case if the client took it,
	// as Zeek's ssl_history: C client hello, S server hello, X certificate,
	// K server key exchange, R certificate request, N server hello done,
	// Y certificate verify, G client key exchange, F finished, I change cipher
	// spec, T ticket, J hello retry, L alert, D data. At most 32.
	History string

	// Resumed: the server took up an earlier session, so no certificate is
	// expected.
	Resumed bool
	// StartTLS: the connection began in plaintext and was upgraded.
	StartTLS bool
	// SSLv2: the ClientHello came in an SSLv2 record.
	SSLv2 bool
	// Incomplete: bytes were missing from the capture, so a step that is not
	// named here may still have been taken.
	Incomplete bool

	// How the connection ended, as far as the reader was told.
	Closed   bool
	Reset    bool // by RST
	ClosedBy stream.Side
	ClosedAt pcap.Timestamp
	CloseAt  int64 // frame

	finished [2]bool // an encrypted handshake message was seen where Finished belongs (<= 1.2), or may be (1.3)
}

// A Message is one handshake message.
type Message struct {
	Type  HandshakeType
	From  stream.Side
	Time  pcap.Timestamp // when its last byte was captured
	Frame int64          // frame of its last byte
	Shown bool           // tshark shows it as a message of this type, in the clear
}

// AppData is what one side sent as application data.
type AppData struct {
	Records int
	Bytes   int64 // encrypted, with tag and padding
	First   int64 // frame
	FirstAt pcap.Timestamp
}

// An Alert is one TLS alert.
type Alert struct {
	From        stream.Side
	Time        pcap.Timestamp
	Frame       int64
	Level       AlertLevel
	Description AlertDescription
	// Encrypted: level and description are unknown.
	Encrypted bool
	// Early: it came before both sides had finished the handshake.
	Early bool
	// Inferred: TLS 1.3 hides even the record's type; a record as small as an
	// alert right before that side closed, before any data, is taken for one.
	Inferred bool
}

// Failure reports whether the alert ends a handshake in failure: a fatal one
// other than close_notify and user_canceled. unrecognized_name (112) as a
// warning is none.
func (a *Alert) Failure() bool {
	if a.Encrypted {
		return a.Early
	}
	return a.Level == Fatal && a.Description != CloseNotify && a.Description != UserCanceled
}

// A Stage is how far a handshake came.
type Stage uint8

// The stages, in order.
const (
	StageNone         Stage = iota // no ClientHello
	StageClientHello               // ClientHello without ServerHello
	StageHelloRetry                // the server asked for another ClientHello and nothing came of it
	StageServerHello               // ServerHello without certificate (TLS 1.2 and below)
	StageCertificate               // the server's certificate was sent, the client did not go on
	StageClientKey                 // the client went on (ClientKeyExchange); TLS 1.2 and below
	StageServerFlight              // TLS 1.3: the server's encrypted flight was sent, the client did not go on
	StageEstablished               // both sides finished, or data flowed
)

var stageNames = [...]string{"none", "client-hello", "hello-retry", "server-hello", "certificate", "client-key", "server-flight", "established"}

// String returns the name that findings use.
func (s Stage) String() string { return stageNames[min(int(s), len(stageNames)-1)] }

// Version is the version that was agreed on, else the best the client offered.
func (s *Session) Version() Version {
	switch {
	case s.ServerHello != nil:
		return s.ServerHello.Version
	case s.HelloRetry != nil:
		return s.HelloRetry.Version
	case s.Hello != nil:
		return s.Hello.MaxVersion()
	}
	return 0
}

// Any reports whether anything of TLS was seen at all.
func (s *Session) Any() bool {
	return s.MessageCount > 0 || s.AlertCount > 0 || s.Data[0].Records > 0 || s.Data[1].Records > 0
}

// Seen returns the first message of type t from a side.
func (s *Session) Seen(t HandshakeType, from stream.Side) (*Message, bool) {
	for i := range s.Messages {
		if m := &s.Messages[i]; m.Type == t && m.From == from {
			return m, true
		}
	}
	return nil, false
}

// Duration is the time from the ClientHello to the last plaintext handshake
// message.
func (s *Session) Duration() time.Duration {
	if len(s.Messages) < 2 {
		return 0
	}
	return s.Messages[len(s.Messages)-1].Time.Sub(s.Messages[0].Time)
}

// Stage says how far the handshake came.
func (s *Session) Stage() Stage {
	server := s.Client.Peer()
	if s.finished[s.Client] && s.finished[server] || s.Data[s.Client].Records > 0 && s.Data[server].Records > 0 {
		return StageEstablished
	}
	if s.Version() >= VersionTLS13 && s.ServerHello != nil {
		if s.finished[server] {
			return StageServerFlight
		}
		return StageServerHello
	}
	if _, ok := s.Seen(ClientKeyExchange, s.Client); ok {
		return StageClientKey
	}
	switch {
	case len(s.Certificates) > 0:
		return StageCertificate
	case s.ServerHello != nil:
		return StageServerHello
	case s.HelloRetry != nil:
		return StageHelloRetry
	case s.Hello != nil:
		return StageClientHello
	}
	return StageNone
}

// Failure returns the first alert that ended the handshake in failure.
func (s *Session) Failure() (*Alert, bool) {
	for i := range s.Alerts {
		if a := &s.Alerts[i]; a.Failure() {
			return a, true
		}
	}
	return nil, false
}
