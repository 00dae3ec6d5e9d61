// Package series knows how a capture went over time: how much passed in each
// stretch of it, how much of that was sent again, and how its round trips and
// answers are distributed. What it holds does not grow with the capture.
package series

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// MaxBins is how many stretches of time a capture is cut into at most; from
// the second doubling of their length on, it is at least half as many.
const MaxBins = 240

// finest is the shortest stretch: a second halved nine times, so that doubling
// it leads to whole seconds.
const finest = time.Second / 512

// A Series is a capture over time, and its distributions.
type Series struct {
	Start time.Time     `json:"start"`          // of the first bin
	Bin   time.Duration `json:"binNanoseconds"` // length of each
	// The bins, in order. The last one may be shorter than the others.
	Packets  []int64 `json:"packets"`
	Bytes    []int64 `json:"bytes"`    // on the wire
	Segments []int64 `json:"segments"` // of TCP, with payload, SYN or FIN
	Resent   []int64 `json:"resent"`   // of these: sent again because the first was lost, or seemed to be

	Handshakes  Histogram `json:"handshakes,omitzero"`  // last SYN to the first ACK, one for each connection
	ServerAcks  Histogram `json:"serverAcks,omitzero"`  // payload of a client to its acknowledgement
	ClientAcks  Histogram `json:"clientAcks,omitzero"`  // payload of a server to its acknowledgement
	Answers     Histogram `json:"answers,omitzero"`     // the slowest answer of each connection's server
	DNSAnswers  Histogram `json:"dnsAnswers,omitzero"`  // first query to the response
	DNSSilences int64     `json:"dnsSilences,omitzero"` // questions without a response
}

// End is where the last bin ends.
func (s *Series) End() time.Time { return s.Start.Add(time.Duration(len(s.Packets)) * s.Bin) }

// A Recorder makes a Series, packet by packet. Its zero value is ready to use.
type Recorder struct {
	width    pcap.Timestamp // of a bin
	start    pcap.Timestamp // of the first bin
	from, to pcap.Timestamp // of the bin that the last packet was in
	current  *bin
	used     int // bins up to the last one that is not empty
	bins     [MaxBins]bin

	handshakes, serverAcks, clientAcks, answers, dnsAnswers histogram
	silences                                                int64
}

type bin struct{ packets, bytes, segments, resent int64 }

// Packet takes a packet, and what became of it. What has no time is left out;
// what claims to be from before the first packet is counted with that one.
func (r *Recorder) Packet(p *packet.Packet, s *flow.Segment) {
	if p.Time < r.from || p.Time >= r.to {
		if !r.seek(p.Time) {
			return
		}
	}
	b := r.current
	b.packets++
	b.bytes += int64(p.Length)
	if s.Conn == nil {
		return
	}
	switch {
	case p.SegmentLength > 0:
		b.segments++
		if s.Analysis.Has(flow.Resent) || s.Analysis&(flow.Late|flow.Overtaken) == flow.Late {
			b.resent++
		}
	case p.Flags&(packet.SYN|packet.FIN) != 0:
		b.segments++
		if s.Analysis.Has(flow.Retransmissions) {
			b.resent++
		}
	}
	if s.HasRTT {
		if s.From == s.Conn.ClientSide {
			r.clientAcks.add(s.AckRTT)
		} else {
			r.serverAcks.add(s.AckRTT)
		}
	}
}

// seek finds the bin of t, and makes all of them longer until there is one.
func (r *Recorder) seek(t pcap.Timestamp) bool {
	if t == 0 {
		return false
	}
	if r.current == nil {
		r.width, r.start = pcap.Timestamp(finest), t
	}
	if t < r.start {
		t = r.start
	}
	for t-r.start < 0 || (t-r.start)/r.width >= MaxBins {
		if t-r.start < 0 || r.width > 1<<61 {
			t = r.start // further apart than any clock can be right
			break
		}
		r.double()
	}
	i := int((t - r.start) / r.width)
	r.used = max(r.used, i+1)
	r.current = &r.bins[i]
	r.from, r.to = r.start+pcap.Timestamp(i)*r.width, r.start+pcap.Timestamp(i+1)*r.width
	return true
}

// double makes two bins one.
func (r *Recorder) double() {
	for i := range MaxBins / 2 {
		a, b := &r.bins[2*i], &r.bins[2*i+1]
		r.bins[i] = bin{a.packets + b.packets, a.bytes + b.bytes, a.segments + b.segments, a.resent + b.resent}
	}
	clear(r.bins[MaxBins/2:])
	r.used = (r.used + 1) / 2
	r.width *= 2
}

// Connection takes a connection that is over.
func (r *Recorder) Connection(c *flow.Conn) {
	r.handshakes.add(c.IRTT)
	if t := c.Server().Talk(); t.Answers > 0 {
		r.answers.add(t.MaxAnswer.Took())
	}
}

// Answer takes how long a DNS server took to answer.
func (r *Recorder) Answer(d time.Duration) { r.dnsAnswers.add(d) }

// Silence takes a question that a DNS server did not answer.
func (r *Recorder) Silence() { r.silences++ }

// Series returns what was recorded, or nil if no packet had a time.
func (r *Recorder) Series() *Series {
	if r.current == nil {
		return nil
	}
	s := &Series{
		Start: r.start.Time(), Bin: time.Duration(r.width),
		Handshakes: r.handshakes.export(), ServerAcks: r.serverAcks.export(), ClientAcks: r.clientAcks.export(),
		Answers: r.answers.export(), DNSAnswers: r.dnsAnswers.export(), DNSSilences: r.silences,
	}
	for _, b := range r.bins[:r.used] {
		s.Packets, s.Bytes = append(s.Packets, b.packets), append(s.Bytes, b.bytes)
		s.Segments, s.Resent = append(s.Segments, b.segments), append(s.Resent, b.resent)
	}
	return s
}
