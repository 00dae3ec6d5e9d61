package tls

import (
	"encoding/binary"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// handshake reads a record of handshake messages, of which the first may have
// begun in an earlier record.
func (r *Reader) handshake(h *half, from stream.Side, at pcap.Timestamp, frame int64, rec []byte) {
	if h.need == 0 && r.encrypted(h, frame, rec) {
		r.encryptedHandshake(h, from, at, frame)
		return
	}
	for first := true; len(rec) > 0; first = false {
		if h.need > 0 || len(rec) < 4 || 4+int(uint24(rec[1:])) > len(rec) {
			rec = r.gather(h, from, at, frame, rec)
			continue
		}
		end := 4 + int(uint24(rec[1:]))
		if first || known(HandshakeType(rec[0])) {
			r.messageRead(h, from, at, frame, rec[:end])
		}
		rec = rec[end:]
	}
}

// gather collects a message that goes over several records.
func (r *Reader) gather(h *half, from stream.Side, at pcap.Timestamp, frame int64, rec []byte) (rest []byte) {
	if h.need == 0 {
		h.need = 4
	}
	for len(rec) > 0 && h.message.Len() < h.need {
		n := min(h.need-h.message.Len(), len(rec))
		if !h.message.Append(r.d.Budget, rec[:n]) {
			r.lose(from)
			return nil
		}
		rec = rec[n:]
		if h.message.Len() == 4 {
			length := int(uint24(h.message.Bytes()[1:]))
			if length > maxMessage || !known(HandshakeType(h.message.Bytes()[0])) {
				h.need = 0 // ciphertext, or nothing that anybody reads
				h.message.Reset(r.d.Budget)
				return nil
			}
			h.need += length
		}
	}
	if h.message.Len() == h.need {
		h.need = 0
		msg := h.message.Bytes()
		h.message.Reset(r.d.Budget)
		r.messageRead(h, from, at, frame, msg)
	}
	return rec
}

// encrypted tells ciphertext from plaintext as tshark 4.0.17 does. What is
// shorter than 16 bytes has no room for a tag or an HMAC; what follows a
// ChangeCipherSpec in a later packet is ciphertext, but for TLS 1.3, where it
// means nothing (RFC 8446, D.4); otherwise an unlikely first message is.
func (r *Reader) encrypted(h *half, frame int64, rec []byte) bool {
	if len(rec) < 16 {
		return false
	}
	if h.cipherSpec != 0 && frame > h.cipherSpec && r.session.Version() < VersionTLS13 {
		return true
	}
	// An explicit nonce of AES-GCM that counts from zero looks like an empty
	// HelloRequest.
	return binary.BigEndian.Uint32(rec) == 0 || !known(HandshakeType(rec[0])) || uint24(rec[1:]) > maxMessage
}

// known reports whether tshark 4.0.17 has a name for the type.
func known(t HandshakeType) bool {
	switch {
	case t <= 6, t == 8, t >= 11 && t <= 16, t >= 20 && t <= 25, t == 67:
		return true
	}
	return false
}

// messageRead takes a whole handshake message with its header.
func (r *Reader) messageRead(h *half, from stream.Side, at pcap.Timestamp, frame int64, msg []byte) {
	t := HandshakeType(msg[0])
	shown := r.counted && !h.hidden && known(t)
	if shown {
		r.d.handshakes[t]++
	}
	s := &r.session
	if h.cipherSpec != 0 && s.Version() < VersionTLS13 {
		// Ciphertext of the packet that its ChangeCipherSpec is in: one of some
		// thousands begins like a message. tshark counts it, and so do we.
		r.encryptedHandshake(h, from, at, frame)
		return
	}
	body := msg[4:]
	switch t {
	case ClientHelloType:
		r.clientHello(from, frame, body)
	case ServerHelloType:
		r.serverHello(from, at, frame, body, shown)
		return
	case CertificateType:
		r.certificates(from, body)
		r.step('x', from)
	case ServerKeyExchange:
		r.step('k', from)
	case CertificateRequest:
		r.step('r', from)
	case ServerHelloDone:
		r.step('n', from)
	case CertificateVerify:
		r.step('y', from)
	case ClientKeyExchange:
		r.step('g', from)
	case NewSessionTicket:
		r.step('t', from)
	case Finished:
		// In the clear only by mistake, or without encryption.
		r.step('f', from)
		s.finished[from] = true
	}
	r.note(t, from, at, frame, shown)
}

func (r *Reader) clientHello(from stream.Side, frame int64, body []byte) {
	s := &r.session
	hello, ok := parseClientHello(body)
	if !ok {
		return
	}
	hello.Frame = frame
	if !r.started {
		r.started = true
		s.Client = from
		if s.History != "" && from == stream.Server { // letters so far were for the other way round
			s.History = ""
		}
	}
	if s.Hello == nil || s.HelloRetry != nil && s.ServerHello == nil {
		s.Hello = hello
	}
	r.step('c', from)
}

func (r *Reader) serverHello(from stream.Side, at pcap.Timestamp, frame int64, body []byte, shown bool) {
	s := &r.session
	hello, retry, ok := parseServerHello(body)
	if ok {
		hello.Frame = frame
		if !r.started {
			r.started = true
			s.Client = from.Peer()
		}
		if retry {
			s.HelloRetry = hello
			r.step('j', from)
			r.note(HelloRetryRequest, from, at, frame, shown)
			return
		}
		if s.ServerHello == nil {
			s.ServerHello = hello
			s.Resumed = hello.PSK
		}
	}
	r.step('s', from)
	r.note(ServerHelloType, from, at, frame, shown)
}

// encryptedHandshake takes a handshake record that cannot be read. In TLS 1.2
// and below the first one of each side is its Finished.
func (r *Reader) encryptedHandshake(h *half, from stream.Side, at pcap.Timestamp, frame int64) {
	s := &r.session
	if h.cipherSpec == 0 || s.finished[from] {
		return
	}
	s.finished[from] = true
	r.step('f', from)
	r.note(Finished, from, at, frame, false)
	// A server that finishes without having shown a certificate, before the
	// client sent a key, took up a session.
	if _, key := s.Seen(ClientKeyExchange, s.Client); from != s.Client && s.ServerHello != nil && len(s.Certificates) == 0 && !key && !s.Incomplete {
		s.Resumed = true
	}
}

// note keeps a message.
func (r *Reader) note(t HandshakeType, from stream.Side, at pcap.Timestamp, frame int64, shown bool) {
	s := &r.session
	s.MessageCount++
	if s.Messages == nil {
		s.Messages = make([]Message, 0, 4) // what is in the clear of TLS 1.3
	}
	if len(s.Messages) < MaxMessages {
		s.Messages = append(s.Messages, Message{Type: t, From: from, Time: at, Frame: frame, Shown: shown})
	}
}

// step adds a letter to the history.
func (r *Reader) step(letter byte, from stream.Side) {
	s := &r.session
	if len(s.History) >= 32 {
		return
	}
	if from == s.Client {
		letter -= 'a' - 'A'
	}
	var room [32]byte
	s.History = r.d.history(append(append(room[:0], s.History...), letter))
}

// maxHistories is how many different histories are kept as strings.
const maxHistories = 1 << 10

// history is string(letters), of which there are few that differ.
func (d *Dissector) history(letters []byte) string {
	s, ok := d.histories[string(letters)]
	if !ok {
		s = string(letters)
		if d.histories == nil {
			d.histories = make(map[string]string)
		}
		if len(d.histories) < maxHistories {
			d.histories[s] = s
		}
	}
	return s
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
