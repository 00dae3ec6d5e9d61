package tls

import (
	"strconv"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// alert reads an alert record: two bytes are one in the clear, anything else
// is encrypted (tshark does the same, whatever came before).
func (r *Reader) alert(h *half, from stream.Side, at pcap.Timestamp, frame int64, rec []byte) {
	a := Alert{From: from, Time: at, Frame: frame}
	if len(rec) == 2 {
		a.Level, a.Description = AlertLevel(rec[0]), AlertDescription(rec[1])
		if r.counted && !h.hidden {
			r.d.alerts[rec[1]]++
		}
	} else {
		a.Encrypted = true
		a.Early = !r.session.finished[stream.Client] || !r.session.finished[stream.Server]
	}
	r.keepAlert(a)
}

func (r *Reader) keepAlert(a Alert) {
	s := &r.session
	s.AlertCount++
	if len(s.Alerts) < MaxAlerts {
		s.Alerts = append(s.Alerts, a)
	}
	r.step('l', a.From)
}

// applicationData takes the header of an application data record of n bytes.
func (r *Reader) applicationData(h *half, from stream.Side, at pcap.Timestamp, frame int64, n int) {
	s := &r.session
	if s.Version() >= VersionTLS13 && s.ServerHello != nil {
		if r.hidden(h, from, at, frame, n) {
			return
		}
	}
	if a := r.small[from]; a.Frame != 0 { // more follows: it was data
		r.small[from] = Alert{}
		r.data(from, a.Time, a.Frame, small)
	}
	// After the other side's small record this is the answer to a farewell.
	farewell := s.Closed || r.small[from.Peer()].Frame != 0
	if n <= small && s.Data[from].Records == 0 && !farewell && s.Version() >= VersionTLS13 {
		r.small[from] = Alert{From: from, Time: at, Frame: frame, Encrypted: true, Inferred: true, Early: true}
		return
	}
	r.data(from, at, frame, n)
}

func (r *Reader) data(from stream.Side, at pcap.Timestamp, frame int64, n int) {
	s := &r.session
	d := &s.Data[from]
	if d.Records == 0 {
		d.First, d.FirstAt = frame, at
		r.step('d', from)
	}
	d.Records++
	d.Bytes += int64(n)
	other := &s.Data[from.Peer()]
	if d.Records >= enough && other.Records >= enough || d.Bytes+other.Bytes > 1<<20 {
		r.ended = true
	}
}

// hidden reports whether an application data record of a TLS 1.3 connection
// belongs to the handshake. Those of the server do until the client answers
// them; those of the client do up to its Finished, which its size gives away:
// a header of four bytes and a hash, with type and tag.
func (r *Reader) hidden(h *half, from stream.Side, at pcap.Timestamp, frame int64, n int) bool {
	s := &r.session
	server := s.Client.Peer()
	if from == server && r.half[s.Client].answered {
		r.finish(s.Client) // its Finished was padded, or of another size
	}
	switch {
	case s.finished[from] && (from == s.Client || s.finished[s.Client]):
		return false
	case from == s.Client && !s.finished[server]:
		return true // early data
	case n <= small:
		r.small[from] = Alert{From: from, Time: at, Frame: frame, Encrypted: true, Inferred: true, Early: true}
		return true
	}
	r.small[from] = Alert{}
	if hash := n - 4 - 1 - 16; from == server || hash == 32 || hash == 48 {
		r.finish(from)
	} else {
		h.answered = true
	}
	return true
}

// finish notes that a side finished its part of the handshake.
func (r *Reader) finish(from stream.Side) {
	if !r.session.finished[from] {
		r.session.finished[from] = true
		r.step('f', from)
	}
}

// inferAlert takes the small encrypted record that a side sent last for an
// alert, if the handshake was not through or the other side never got data.
func (r *Reader) inferAlert(from stream.Side) {
	if r.small[from].Frame == 0 {
		return
	}
	s := &r.session
	a := r.small[from]
	r.small[from] = Alert{}
	if from == s.Client && s.finished[from] {
		return // it finished the handshake, so this is a farewell
	}
	r.keepAlert(a)
}

// Counters returns the counts so far.
func (d *Dissector) Counters() Counters {
	c := Counters{HandshakeTypes: map[string]int{}, Alerts: map[string]int{}}
	for t, n := range d.handshakes {
		if n > 0 {
			c.HandshakeTypes[strconv.Itoa(t)] = n
		}
	}
	for t, n := range d.alerts {
		if n > 0 {
			c.Alerts[strconv.Itoa(t)] = n
		}
	}
	return c
}
