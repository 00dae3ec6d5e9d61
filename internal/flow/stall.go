package flow

import "github.com/pcapwarden/pcapwarden/internal/packet"

// stuck keeps that the first unacknowledged segment was sent again.
func (w *work) stuck(worst *Stall, p *packet.Packet, at Moment, sacks uint16) {
	length := uint32(p.SegmentLength)
	now := &w.stall
	switch {
	case !now.active || now.seq != p.Seq:
		*now = stall{Stall: Stall{Size: length, Count: 1, First: at, Last: at}, seq: p.Seq, active: true}
	case length < now.Size:
		now.ShrunkTo = length
	default:
		now.Count++
		now.Last = at
	}
	now.SACKs = uint32(sacks)
	if now.Count >= worst.Count {
		*worst = now.Stall
	}
}

// recover ends a stall when p acknowledges more.
func (w *work) recover(s *Side, p *packet.Packet) {
	if !w.stall.active || !after(p.Ack, w.stall.seq) {
		return
	}
	w.stall.active = false
	if s.trouble != nil && s.trouble.Stall.First == w.stall.First {
		s.trouble.Stall.Recovered = Moment{p.Time, p.Number}
	}
}
