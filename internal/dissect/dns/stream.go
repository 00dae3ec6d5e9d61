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
	partial   [2]stream.Buffer // at most a length and 65,535 bytes
	lost      bool             // there was no space
}

// NewStream returns a reader that hands the messages of one connection to t.
func (t *Table) NewStream(client, server netip.AddrPort) *Stream {
	return &Stream{table: t, endpoints: [2]netip.AddrPort{client, server}}
}

// Feed takes the next bytes of one side.
func (s *Stream) Feed(c stream.Chunk) {
	from, at, frame, data := c.From, c.Time, c.Frame, c.Data
	if p := &s.partial[from]; p.Len() > 0 {
		for p.Len() > 0 && len(data) > 0 {
			need := 2 - p.Len()
			if need <= 0 {
				need = 2 + int(binary.BigEndian.Uint16(p.Bytes())) - p.Len()
			}
			n := min(need, len(data))
			if !p.Append(s.table.Budget, data[:n]) {
				s.lost = true
				return
			}
			data = data[n:]
			if p.Len() >= 2 && p.Len() == 2+int(binary.BigEndian.Uint16(p.Bytes())) {
				msg := p.Bytes()[2:]
				p.Reset(s.table.Budget)
				s.message(from, at, frame, msg)
			}
		}
	}
	for len(data) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(data))
		if end > len(data) {
			break
		}
		s.message(from, at, frame, data[2:end])
		data = data[end:]
	}
	if len(data) > 0 && !s.partial[from].Append(s.table.Budget, data) {
		s.lost = true
	}
}

func (s *Stream) message(from stream.Side, at pcap.Timestamp, frame int64, msg []byte) {
	s.table.Message(s.endpoints[from], s.endpoints[from.Peer()], true, at, frame, msg, true)
}

// Gap says that bytes of one side are missing. The next ones are taken for the
// start of a message, as tshark does.
func (s *Stream) Gap(from stream.Side, _ int64) {
	s.partial[from].Reset(s.table.Budget)
}

// Cut says that the rest of the segment that was just fed lies beyond the
// snap length.
func (s *Stream) Cut(from stream.Side, _ int64) { s.Gap(from, 0) }

// Again takes a segment that was sent twice: it asks nothing new.
func (s *Stream) Again(stream.Chunk) {}

// Close says that one side sent a FIN or RST: DNS says nothing with it.
func (s *Stream) Close(stream.Side, pcap.Timestamp, int64, bool) {}

// Done reports whether the reader gave up. Otherwise the connection may be kept
// for the next question.
func (s *Stream) Done() bool { return s.lost }

// Release lets go of what is held of unfinished messages: nothing more will be
// fed.
func (s *Stream) Release() {
	s.Gap(stream.Client, 0)
	s.Gap(stream.Server, 0)
}
