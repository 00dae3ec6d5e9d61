package tls

import (
	"encoding/binary"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// maxSSL2 is the longest SSLv2 hello that is believed.
const maxSSL2 = 4096

// ssl2 reads the first message of a side that starts with an SSLv2 header
// (draft-hickman-netscape-ssl-00, 1.2): old clients say hello that way even
// when they offer TLS (RFC 5246, E.2).
func (r *Reader) ssl2(h *half, from stream.Side, at pcap.Timestamp, frame int64, data []byte) (rest []byte) {
	h.ssl2 = true
	for len(data) > 0 {
		need := 3
		if b := h.record.Bytes(); len(b) >= 3 {
			need = 2 + int(binary.BigEndian.Uint16(b)&0x7fff)
			if t := HandshakeType(b[2]); need > maxSSL2 || need < 11 || t != ClientHelloType && t != ssl2ServerHello {
				break
			}
		}
		n := min(need-h.record.Len(), len(data))
		if !h.record.Append(r.d.Budget, data[:n]) {
			break
		}
		data = data[n:]
		if need > 3 && h.record.Len() == need {
			msg := h.record.Bytes()[2:]
			h.record.Reset(r.d.Budget)
			h.ssl2, h.seen = false, true
			r.ssl2Message(h, from, at, frame, msg)
			return data
		}
	}
	if len(data) > 0 {
		r.lose(from)
		h.seen = true
	}
	return nil
}

// ssl2ServerHello is the type of the server's answer in SSLv2.
const ssl2ServerHello HandshakeType = 4

func (r *Reader) ssl2Message(h *half, from stream.Side, at pcap.Timestamp, frame int64, msg []byte) {
	shown := r.ssl2Counted && !h.hidden
	if shown {
		r.d.handshakes[msg[0]]++
	}
	s := &r.session
	if HandshakeType(msg[0]) == ssl2ServerHello {
		s.ServerHello = &ServerHello{Version: VersionSSL2, Frame: frame}
		r.step('s', from)
		r.note(ServerHelloType, from, at, frame, false) // tshark numbers it otherwise
		r.ended = true                                  // nothing is to be learnt from what follows
		return
	}
	if s.Hello == nil {
		s.Hello = &ClientHello{
			Legacy:       Version(binary.BigEndian.Uint16(msg[1:])),
			CipherSuites: int(binary.BigEndian.Uint16(msg[3:])) / 3,
			Frame:        frame,
		}
		s.SSLv2 = true
	}
	if !r.started {
		r.started = true
		s.Client = from
	}
	r.step('c', from)
	r.note(ClientHelloType, from, at, frame, shown)
}
