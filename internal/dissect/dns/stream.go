package dns

import (
	"encoding/binary"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Stream takes DNS messages out of one TCP connection, where each is preceded
// by its length (RFC 1035, 4.2.2).
type Stream struct {
	table     *Table
	endpoints [2]netip.AddrPort
	partial   [2][]byte // at most a length and 65,535 bytes
}

// NewStream returns a reader that hands the messages of one connection to t.
func (t *Table) NewStream(client, server netip.AddrPort) *Stream {
	return &Stream{table: t, endpoints: [2]netip.AddrPort{client, server}}
}

// Feed takes the next bytes of one side.
func (s *Stream) Feed(from stream.Side, at pcap.Timestamp, frame int64, data []byte) {
	if p := s.partial[from]; len(p) > 0 {
		rest := data
		if len(p) == 1 {
			p = append(p, data[0])
			rest = data[1:]
		}
		need := 2 + int(binary.BigEndian.Uint16(p)) - len(p)
		n := min(need, len(rest))
		p = append(p, rest[:n]...)
		if n < need {
			s.partial[from] = p
			return
		}
		s.message(from, at, frame, p[2:])
		s.partial[from] = p[:0]
		data = rest[n:]
	}
	for len(data) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(data))
		if end > len(data) {
			break
		}
		s.message(from, at, frame, data[2:end])
		data = data[end:]
	}
	if len(data) > 0 {
		s.partial[from] = append(s.partial[from], data...)
	}
}

func (s *Stream) message(from stream.Side, at pcap.Timestamp, frame int64, msg []byte) {
	s.table.Message(s.endpoints[from], s.endpoints[from.Peer()], true, at, frame, msg, true)
}

// Gap says that n bytes of one side are missing. The next bytes are taken for
// the start of a message, as tshark does.
func (s *Stream) Gap(from stream.Side, _ int64) { s.partial[from] = s.partial[from][:0] }

// Done reports whether the reader needs no more: never, the connection may be
// kept for the next question.
func (s *Stream) Done() bool { return false }
