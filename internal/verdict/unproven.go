package verdict

import (
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// noTraffic is the verdict on an empty capture.
func (c *court) noTraffic() Verdict {
	v := Verdict{Cause: NoTraffic, Culprit: finding.Unknown, Confidence: 0.9, Findings: []int{}}
	if i := c.first("capture.no-traffic"); i >= 0 {
		f := c.findings[i]
		v.Findings, v.Confidence = append(v.Findings, i), c.sure(f.Confidence)
	}
	switch {
	case c.facts.Packets > 0:
		v.Summary = fmt.Sprintf("The capture holds %s, and not one conversation among them.", plural(c.facts.Packets, "packet"))
	case c.facts.Filtered:
		v.Summary = "The capture is empty: nothing that its filters ask for reached or left this machine while it ran."
	default:
		v.Summary = "The capture is empty: nothing reached or left this machine while it ran."
	}
	if c.facts.Vantage.Known() {
		v.Summary += fmt.Sprintf(" If somebody tried to reach %s meanwhile, the packets were lost before they arrived.", c.facts.Vantage.Machine())
	}
	v.NextStep = "Check that the filters name the right addresses and ports, and that the capture ran while it happened. " +
		"Then capture at the other end: if packets leave there, look at the NSG, the route table (effective routes) and any firewall in between."
	return v
}

// early is the verdict on a capture that was over before the incident began.
func (c *court) early() Verdict {
	f := c.facts
	before := detect.Span(f.WindowStart.Sub(f.Last))
	return Verdict{
		Cause: Inconclusive, Culprit: finding.Capture, Confidence: 0.95, Findings: c.cite("capture.incomplete-window", "capture.limit-reached"),
		Summary: fmt.Sprintf("The capture proves nothing about the incident: its last packet is of %s, %s before the incident began at %s. Whatever it shows was there before.",
			moment(f.Last), before, moment(f.WindowStart)),
		NextStep: "Capture again while it happens, with a higher time or byte limit if this one ended at its limit, or with narrower filters so that the limit lasts longer.",
	}
}

// cite returns the indexes of findings of these kinds.
func (c *court) cite(wanted ...finding.Kind) []int {
	cited := []int{}
	for _, k := range wanted {
		if i := c.first(k); i >= 0 {
			cited = append(cited, i)
		}
	}
	return cited
}

// ports is how many bytes of a packet hold the TCP header, over Ethernet and
// IPv4 without options.
const ports = 54

// blind says why the capture can't show that all is well, or "".
func (c *court) blind() finding.Kind {
	f := c.facts
	for _, k := range []finding.Kind{"capture.unreadable", "capture.loss"} {
		if i := c.first(k); i >= 0 && c.findings[i].Severity >= finding.Medium {
			return k
		}
	}
	switch {
	case len(c.silenced) > 0 && c.findings[c.silenced[0]].Severity >= finding.High && c.has("capture.loss"):
		return "capture.loss"
	case c.tooLate():
		return "capture.incomplete-window"
	case c.has("capture.limit-reached") && c.full():
		return "capture.limit-reached"
	case !f.anything() && f.Truncated > 0 && f.ShortestCut < ports:
		return "capture.truncated"
	case !f.worked():
		return "nothing"
	case c.unexplained() > 0 && 2*c.unexplained() >= f.Connections.Seen:
		return "unexplained"
	}
	return ""
}

// unexplained is how many connections never came about without a finding that
// tells of such.
func (c *court) unexplained() (n int64) {
	for _, k := range kinds("tcp.connect-refused", "tcp.connect-timeout", "tcp.half-open") {
		if !c.has(k) {
			n += c.facts.failed(k)
		}
	}
	return n
}

// tooLate: the capture began after the incident, of which no more is known
// than when it began. (An alert that says what time it measured is another
// thing: a capture that it starts shows whether the fault goes on.)
func (c *court) tooLate() bool {
	f := c.facts
	return !f.WindowStart.IsZero() && f.WindowEnd.IsZero() && f.First.Sub(f.WindowStart) > 5*time.Second
}

// full reports whether the capture filled up long before its time: what is
// in it is a moment, not the time that was asked for.
func (c *court) full() bool {
	span, asked := c.facts.Last.Sub(c.facts.First), c.facts.TimeLimit
	if asked == 0 {
		asked = time.Minute
	}
	return 2*span < asked
}

// inconclusive is the verdict when the capture can't tell.
func (c *court) inconclusive(why finding.Kind) Verdict {
	v := Verdict{Cause: Inconclusive, Culprit: finding.Capture, Confidence: 0.8, Findings: c.cite(why)}
	f := c.facts
	switch why {
	case "capture.cut-short":
		v.Summary = "No packet can be read: the file is damaged or ends before the first one. " + sentences(c.findings[c.first(why)].Summary)[0]
		v.NextStep = "Compare the size of the file with what was uploaded, fetch it again, or capture again."
	case "capture.truncated":
		v.Summary = fmt.Sprintf("The packets were cut to %d bytes when they were captured, which leaves neither ports nor flags: %s tell nothing about connections.",
			f.ShortestCut, plural(f.Packets, "packet"))
		v.NextStep = "Capture again with whole packets (bytesPerPacket 0), or at least 96 bytes of each; 54 bytes hold the ports, and 34 do not."
	case "capture.loss":
		v.Summary = "The capture missed too many packets to judge by: what it lacks did arrive, as the acknowledgements in it show. " +
			sentences(c.findings[c.first(why)].Summary)[0]
		v.NextStep = "Capture again with narrower filters or fewer bytes of each packet, so that the machine keeps up; then judge."
	case "capture.limit-reached":
		v.Summary = fmt.Sprintf("%s Nothing is wrong in what it holds (%s), but that is a moment of %s only.",
			sentences(c.findings[c.first(why)].Summary)[0], list(c.reasons()), detect.Span(f.Last.Sub(f.First)))
		v.NextStep = "Capture again with a higher byte limit, with narrower filters, or with fewer bytes of each packet (96 hold all headers), so that it lasts until the fault shows."
	case "capture.incomplete-window":
		v.Summary = fmt.Sprintf("The capture began %s after the incident, and what it shows is in order since: %s. What happened before is not in it.",
			detect.Span(f.First.Sub(f.WindowStart).Round(time.Second)), list(c.reasons()))
		v.NextStep = "Capture while it happens: a continuous (ring-buffer) capture that runs before the next time, or one that starts on an earlier sign."
	case "unexplained":
		v.Culprit, v.Confidence = finding.Unknown, 0.6
		v.Summary = fmt.Sprintf("%s failed, and nothing in the capture says why. %s.", capital(of(c.unexplained(), f.Connections.Seen, "connection attempt")), capital(list(c.reasons())))
		v.NextStep = "Capture at the other end at the same time, without filters that leave out ICMP; then see which packets are missing where."
	case "nothing":
		v.Culprit, v.Confidence = finding.Unknown, 0.6
		v.Summary = "The capture shows no fault, and nothing that worked either: " + c.little() + "."
		v.NextStep = "Capture for longer, with filters that let both directions through, while the fault happens; or at the other end."
		if f.Packets > 0 && f.Unreadable == f.Packets {
			v.Culprit = finding.Capture
			v.Summary = fmt.Sprintf("Nothing in the capture can be decoded: %s of %s, which is not what they hold, or a link type that is not known here.", plural(f.Packets, "packet"), f.LinkTypes)
			v.NextStep = "Capture on an interface with an Ethernet or IP header, or see in Wireshark what the packets are; where the file names the wrong link type, editcap -T sets it right."
		}
	default:
		v.Summary = c.findings[c.first(why)].Summary
		v.NextStep = c.findings[c.first(why)].NextStep
	}
	return v
}

// little says how little there is.
func (c *court) little() string {
	f := c.facts
	parts := []string{plural(f.Packets, "packet")}
	if !f.anything() {
		return parts[0] + ", none of them of TCP, UDP or ICMP"
	}
	if n := f.Connections.Seen; n > 0 {
		how := ""
		if f.Connections.Midstream == n {
			how = ", open before the capture began"
		}
		parts = append(parts, plural(n, "TCP connection")+how)
	}
	if n := f.Datagrams.Tried; n > 0 {
		parts = append(parts, plural(n, "conversation")+" by UDP or ICMP without an answer")
	}
	return list(parts)
}
