package tls

import "strconv"

// A HandshakeType is the type of a handshake message (IANA TLS parameters).
type HandshakeType uint8

// The handshake messages that may be seen in the clear, and ChangeCipherSpec,
// which is a record of its own and stands here under a number that no
// handshake message has.
const (
	HelloRequest       HandshakeType = 0
	ClientHelloType    HandshakeType = 1
	ServerHelloType    HandshakeType = 2
	NewSessionTicket   HandshakeType = 4
	CertificateType    HandshakeType = 11
	ServerKeyExchange  HandshakeType = 12
	CertificateRequest HandshakeType = 13
	ServerHelloDone    HandshakeType = 14
	CertificateVerify  HandshakeType = 15
	ClientKeyExchange  HandshakeType = 16
	Finished           HandshakeType = 20 // encrypted; recognised by its place
	CertificateStatus  HandshakeType = 22
	HelloRetryRequest  HandshakeType = 6   // a ServerHello with a certain random (RFC 8446); counted as ServerHello
	ChangeCipherSpec   HandshakeType = 254 // not on the wire
)

var handshakeNames = map[HandshakeType]string{
	HelloRequest: "hello_request", ClientHelloType: "client_hello", ServerHelloType: "server_hello", NewSessionTicket: "new_session_ticket",
	HelloRetryRequest: "hello_retry_request", CertificateType: "certificate", ServerKeyExchange: "server_key_exchange",
	CertificateRequest: "certificate_request", ServerHelloDone: "server_hello_done", CertificateVerify: "certificate_verify",
	ClientKeyExchange: "client_key_exchange", Finished: "finished", CertificateStatus: "certificate_status", ChangeCipherSpec: "change_cipher_spec",
}

// String returns the name of the RFC, or "handshake(99)".
func (t HandshakeType) String() string {
	if s, ok := handshakeNames[t]; ok {
		return s
	}
	return "handshake(" + strconv.Itoa(int(t)) + ")"
}

// An AlertLevel is the first byte of an alert.
type AlertLevel uint8

// The levels.
const (
	Warning AlertLevel = 1
	Fatal   AlertLevel = 2
)

// String returns "warning" or "fatal".
func (l AlertLevel) String() string {
	switch l {
	case Warning:
		return "warning"
	case Fatal:
		return "fatal"
	}
	return "level(" + strconv.Itoa(int(l)) + ")"
}

// An AlertDescription is the second byte of an alert (IANA TLS parameters).
type AlertDescription uint8

// The descriptions that code asks for by name.
const (
	CloseNotify         AlertDescription = 0
	HandshakeFailure    AlertDescription = 40
	BadCertificate      AlertDescription = 42
	UnsupportedCert     AlertDescription = 43
	CertificateRevoked  AlertDescription = 44
	CertificateExpired  AlertDescription = 45
	CertificateUnknown  AlertDescription = 46
	UnknownCA           AlertDescription = 48
	ProtocolVersion     AlertDescription = 70
	InternalError       AlertDescription = 80
	UserCanceled        AlertDescription = 90
	UnrecognizedName    AlertDescription = 112
	CertificateRequired AlertDescription = 116
	NoApplicationProto  AlertDescription = 120
)

var alertNames = map[AlertDescription]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow", 30: "decompression_failure",
	40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked",
	45: "certificate_expired", 46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
	51: "decrypt_error", 60: "export_restriction", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
	86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension", 110: "unsupported_extension",
	111: "certificate_unobtainable", 112: "unrecognized_name", 113: "bad_certificate_status_response", 114: "bad_certificate_hash_value",
	115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol", 121: "ech_required",
}

// String returns the name of the RFC, or "alert(99)".
func (d AlertDescription) String() string {
	if s, ok := alertNames[d]; ok {
		return s
	}
	return "alert(" + strconv.Itoa(int(d)) + ")"
}

// AboutCertificate reports whether the sender refused the peer's certificate.
func (d AlertDescription) AboutCertificate() bool {
	return d >= BadCertificate && d <= UnknownCA && d != 47 || d == CertificateRequired
}
