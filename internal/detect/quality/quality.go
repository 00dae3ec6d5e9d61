// Package quality judges the capture itself: what it cannot show, and why.
//
// Details:
//
//	capture.truncated          packets, share, bytesKept (the shortest), hidden (what cannot be seen)
//	capture.cut-short          error, if the file is damaged
//	capture.no-traffic         filtered
//	capture.limit-reached      totalBytes, bytes, spanSeconds, timeLimitSeconds, missedSeconds
//	capture.incomplete-window  windowStart, windowEnd, missing (start, end, all), missedSeconds
//	capture.loss               dropped, droppedShare, ackedUnseen, acks, ackedUnseenShare
//	capture.duplicated         duplicates, segments, share, connections
package quality

import (
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// Detector reports what is wrong with the capture.
var Detector = &detect.Detector{
	Name: "quality",
	Reports: []detect.Reported{
		{
			Kind:      "capture.truncated",
			Means:     "Packets were cut when they were captured, so a part of them cannot be seen.",
			Threshold: "one packet. Of an Ethernet frame with IPv4, 34 bytes end before the ports (high), 54 before TCP options and payload (low), 66 after the options that are usual; from there on only payload is missing (info)",
			Next:      "Capture again with bytesPerPacket 0 (whole packets), or at least 128 bytes if payload must not be kept.",
		},
		{
			Kind:      "capture.cut-short",
			Means:     "The file ends in the middle of a packet, or is damaged: the capture, its machine or the upload ended abruptly.",
			Threshold: "one incomplete packet or block",
			Next:      "What is in the file is right, as far as it goes. Compare its size with what was uploaded; if the machine died, its last packets are lost.",
		},
		{
			Kind:      "capture.no-traffic",
			Means:     "The capture holds no packet.",
			Threshold: "a readable file without packets",
			Next:      "Check that the filters name the right addresses and ports, seen from the captured machine, and that the capture ran while it happened; then capture at the other end.",
		},
		{
			Kind:      "capture.limit-reached",
			Means:     "The capture stopped because it was full, before its time was over. Azure shows no reason then (MicrosoftDocs/azure-docs#102124).",
			Threshold: "at least 98 % of the byte limit used, and less than 95 % of the time limit",
			Next:      "Narrow the filters to the peer and port in question, or cut packets to 128 bytes, before raising the byte limit.",
		},
		{
			Kind:      "capture.incomplete-window",
			Means:     "The capture does not cover the time that the alert was about. That is usual for what starts with the alert: it shows whether the fault goes on.",
			Threshold: "first packet more than 5 s after the start of the alert's window, or last packet more than 5 s before its end",
			Next:      "If the fault is gone in this capture, keep a ring-buffer capture running and wait for the next time.",
		},
		{
			Kind:      "capture.loss",
			Means:     "Packets passed the machine and are not in the capture. What looks like loss on the network may be this.",
			Threshold: "one packet that the capturing machine says it dropped; or 5 acknowledgements, and 1 %, for data that was not captured (10 % is too much, after Zeek's capture-loss)",
			Next:      "Narrow the filters or cut packets, so that the machine keeps up; with several interfaces or asymmetric routing, capture where all packets pass.",
		},
		{
			Kind:      "capture.duplicated",
			Means:     "Packets were captured twice, by a mirror port or on two interfaces. Counted as retransmissions, as tshark does, they are none.",
			Threshold: "more than 90 % of the data segments of one direction of a connection repeated within 1 ms with the same IP identification, at least 5 of them",
			Next:      "Capture on one interface only, or remove the duplicates with editcap -d before comparing figures.",
		},
	},
	Start: start,
}

const (
	fullShare = 0.98
	timeShare = 0.95
	slack     = 5 * time.Second

	fewGaps   = 5
	someGaps  = 0.01
	manyGaps  = 0.1 // Zeek, policy/misc/capture-loss.zeek
	manyDrops = 0.1
)

type state struct {
	pass       *detect.Pass
	acks       int64 // segments with ACK, as good as all but SYNs
	gaps       int64 // that acknowledge what was not captured
	duplicates doubled
}

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p}
	return detect.Hooks{Connection: s.connection, End: s.end}
}

func (s *state) connection(c *detect.Connection) {
	for d := range c.Sides {
		side := &c.Sides[d]
		s.acks += int64(side.Packets)
		s.gaps += int64(side.Count(flow.AckLostSegment))
	}
	s.acks -= int64(c.Client().SYNs)
	s.duplicates.connection(c)
}

func (s *state) end(sum *detect.Summary) {
	if sum.Packets == 0 {
		s.nothing(sum)
		return
	}
	s.truncated(sum)
	s.cutShort(sum)
	s.limit(sum)
	s.window(sum)
	s.loss(sum)
	s.duplicates.report(s.pass)
}

// report adds a finding about the whole capture.
func (s *state) report(f finding.Finding, sum *detect.Summary) {
	f.Culprit, f.Count = finding.Capture, max(f.Count, 1)
	if f.Packets == nil {
		f.Packets = []int64{}
	}
	if sum.First != 0 {
		f.First, f.Last = sum.First.Time(), sum.Last.Time()
	}
	s.pass.Report(f)
}

func (s *state) nothing(sum *detect.Summary) {
	if sum.Damage != nil || sum.CutShort {
		s.cutShort(sum)
		return // nobody knows what was in it
	}
	f := finding.Finding{
		Kind: "capture.no-traffic", Severity: finding.Medium, Confidence: 1,
		Summary: "The capture is empty: no packet passed this machine while it ran.",
		Detail:  map[string]any{"filtered": s.pass.Filtered},
	}
	if s.pass.Filtered {
		f.Summary = "The capture is empty: nothing that its filters ask for passed this machine while it ran."
	}
	s.report(f, sum)
}

func (s *state) cutShort(sum *detect.Summary) {
	if !sum.CutShort && sum.Damage == nil {
		return
	}
	f := finding.Finding{
		Kind: "capture.cut-short", Severity: finding.Low, Confidence: 1,
		Summary: fmt.Sprintf("The file ends in the middle of a packet, after %s: what followed is not there.", detect.Count(int(sum.Packets), "packet")),
		Detail:  map[string]any{"packets": sum.Packets},
	}
	if sum.Damage != nil {
		f.Severity = finding.Medium
		f.Detail["error"] = sum.Damage.Error()
		f.Summary = fmt.Sprintf("The file is damaged after %s and cannot be read on: what followed is not in the findings.", detect.Count(int(sum.Packets), "packet"))
	}
	s.report(f, sum)
}

// hidden says what cannot be seen of a packet of which n bytes were kept.
// The figures are those of Ethernet, IPv4 and TCP, of which Linux takes 66
// bytes with timestamps; other encapsulations need more.
func hidden(n int) (what string, severity finding.Severity) {
	const ip, ports, tcp, timestamps = 34, 38, 54, 66
	switch {
	case n < ip:
		return "addresses, ports and all that follows", finding.High
	case n < ports:
		return "ports, flags and payload: connections cannot be told apart", finding.High
	case n < tcp:
		return "a part of the TCP header: little can be said of connections", finding.Medium
	case n < timestamps:
		return "TCP options and payload: no window scale, no DNS, no TLS, no HTTP", finding.Low
	}
	return "payload behind the headers: DNS, TLS and HTTP in part only", finding.Info
}

func (s *state) truncated(sum *detect.Summary) {
	if sum.Truncated == 0 {
		return
	}
	kept := sum.ShortestCut
	what, severity := hidden(kept)
	share := float64(sum.Truncated) / float64(sum.Packets)
	if share < 0.01 {
		severity = finding.Info
	}
	s.report(finding.Finding{
		Kind: "capture.truncated", Severity: severity, Confidence: 1, Count: int(sum.Truncated),
		Summary: fmt.Sprintf("%d of %s were cut, the shortest to %d bytes. That hides %s.", sum.Truncated, detect.Count(int(sum.Packets), "packet"), kept, what),
		Detail:  map[string]any{"packets": sum.Truncated, "share": round(share), "bytesKept": kept, "hidden": what},
	}, sum)
}

func (s *state) limit(sum *detect.Summary) {
	limit, span := s.pass.TotalBytes, sum.Span()
	if limit <= 0 || float64(sum.Bytes) < fullShare*float64(limit) || s.pass.TimeLimit > 0 && float64(span) >= timeShare*float64(s.pass.TimeLimit) {
		return
	}
	f := finding.Finding{
		Kind: "capture.limit-reached", Severity: finding.Low, Confidence: 0.95,
		Summary: fmt.Sprintf("The capture was full (%d bytes) after %s", limit, detect.Span(span)),
		Detail:  map[string]any{"totalBytes": limit, "bytes": sum.Bytes, "spanSeconds": detect.Seconds(span)},
	}
	if t := s.pass.TimeLimit; t > 0 {
		f.Detail["timeLimitSeconds"], f.Detail["missedSeconds"] = detect.Seconds(t), detect.Seconds(t-span)
		f.Summary += fmt.Sprintf(" of its %s", detect.Span(t))
	}
	f.Summary += ": what came later was not captured."
	if end := s.pass.WindowEnd; !end.IsZero() && sum.Last.Time().Before(end) {
		f.Severity = finding.Medium
	}
	s.report(f, sum)
}

func (s *state) window(sum *detect.Summary) {
	start, end := s.pass.WindowStart, s.pass.WindowEnd
	if start.IsZero() || sum.First == 0 {
		return
	}
	first, last := sum.First.Time(), sum.Last.Time()
	f := finding.Finding{
		Kind: "capture.incomplete-window", Severity: finding.Info, Confidence: 0.9,
		Detail: map[string]any{"windowStart": start.UTC().Format(time.RFC3339)},
	}
	if !end.IsZero() {
		f.Detail["windowEnd"] = end.UTC().Format(time.RFC3339)
	}
	missing := func(what string, by time.Duration, says string) {
		f.Detail["missing"], f.Detail["missedSeconds"] = what, detect.Seconds(by)
		f.Summary = fmt.Sprintf(says, detect.Span(by.Round(time.Second)))
	}
	switch {
	case !end.IsZero() && first.After(end):
		missing("all", first.Sub(end), "The capture begins %s after the time that the alert is about: it shows whether the fault goes on, not what raised the alert.")
	case last.Before(start):
		f.Severity = finding.Low
		missing("all", start.Sub(last), "The capture ends %s before the time that the alert is about.")
	case !end.IsZero() && last.Before(end.Add(-slack)):
		f.Severity = finding.Low
		missing("end", end.Sub(last), "The last packet is %s before the end of the time that the alert is about: either it was quiet, or the capture ended.")
	case first.After(start.Add(slack)):
		missing("start", first.Sub(start), "The first packet is %s after the start of the time that the alert is about.")
	default:
		return
	}
	s.report(f, sum)
}

func (s *state) loss(sum *detect.Summary) {
	dropped := float64(sum.Dropped) / float64(sum.Packets+max(sum.Dropped, 0))
	gaps := 0.0
	if s.acks > 0 {
		gaps = float64(s.gaps) / float64(s.acks)
	}
	unseen := s.gaps >= fewGaps && gaps >= someGaps
	if sum.Dropped <= 0 && !unseen {
		return
	}
	f := finding.Finding{
		Kind: "capture.loss", Severity: finding.Low, Confidence: 0.95, Count: int(max(sum.Dropped, s.gaps)),
		Detail: map[string]any{
			"dropped": sum.Dropped, "droppedShare": round(dropped), "ackedUnseen": s.gaps, "acks": s.acks, "ackedUnseenShare": round(gaps),
		},
	}
	if sum.Dropped > 0 {
		f.Summary = fmt.Sprintf("The capturing machine dropped %s (%.1f %%). ", detect.Count(int(sum.Dropped), "packet"), 100*dropped)
	}
	if unseen {
		if sum.Dropped <= 0 {
			f.Confidence = 0.8
		}
		f.Summary += fmt.Sprintf("%d of %s are for data that is not in the capture (%.1f %%). ", s.gaps, detect.Count(int(s.acks), "acknowledgement"), 100*gaps)
	}
	f.Summary += "Gaps in connections may be the capture's, not the network's."
	if dropped >= manyDrops || unseen && gaps >= manyGaps {
		f.Severity = finding.Medium
	}
	s.report(f, sum)
}
