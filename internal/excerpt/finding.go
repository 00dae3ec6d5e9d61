package excerpt

import (
	"context"
	"fmt"
	"io"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// A Selection says what one excerpt is about.
type Selection struct {
	Packets   []int64          // frame numbers, from 1, in any order
	Labels    map[int64]string // what they are, by frame number; of others the headers tell
	Kind      finding.Kind     // that they prove; may be empty
	Flow      *finding.Flow    // whose sides are called client and server; may be nil
	About     string           // comment on the file
	Interface string           // comment on where the packets are from
}

// Write makes the excerpts of the findings of an analysis: of the first
// [MaxExcerpts] that name packets, which are the most severe. src is the
// capture that was analysed, from its beginning. create gets the index of the
// finding; see [Cut] for the rest.
func Write(ctx context.Context, src io.Reader, a *analysis.Analysis, o Options, create func(finding int) (io.WriteCloser, error)) ([]Summary, error) {
	var selections []Selection
	var findings []int
	for i := range a.Findings {
		if len(a.Findings[i].Packets) > 0 && len(selections) < MaxExcerpts {
			selections, findings = append(selections, ForFinding(a, i)), append(findings, i)
		}
	}
	if len(selections) == 0 {
		return nil, nil
	}
	summaries, err := Cut(ctx, src, selections, o, func(i int) (io.WriteCloser, error) { return create(findings[i]) })
	for i := range summaries {
		summaries[i].Finding = findings[i]
	}
	return summaries, err
}

// ForFinding selects the packets that prove the finding with this index. Where
// a ladder of the analysis tells what they are, comments say so. A finding may
// name no packets.
func ForFinding(a *analysis.Analysis, index int) Selection {
	f := &a.Findings[index]
	s := Selection{Packets: f.Packets, Labels: map[int64]string{}, Kind: f.Kind, Flow: f.Flow}
	of := "the capture"
	if hash := a.Capture.SHA256; hash != "" {
		of += " with SHA-256 " + hash
		s.Interface = "capture " + hash[:min(len(hash), 12)]
	}
	s.About = fmt.Sprintf("Packets of %s that prove finding %d, %s (%s), and the handshakes of their connections. %s", of, index+1, f.Kind, f.Severity, f.Summary)
	for _, l := range a.Ladders {
		for _, step := range l.Steps {
			s.Labels[step.Packet] = step.Label
		}
	}
	return s
}

// connection returns the TCP connection that the selection is about, where it
// is one.
func (s *Selection) connection() (pair, bool) {
	f := s.Flow
	if f == nil || f.Protocol != "tcp" || f.Client.Port() == 0 || f.Server.Port() == 0 {
		return pair{}, false
	}
	return pairOf(f.Client.AddrPort, f.Server.AddrPort), true
}

// comment says what a packet is, and where it is in the capture.
func (s *Selection) comment(it item) string {
	what := it.what
	if l := s.Labels[it.Number]; l != "" {
		what = l
	}
	text := fmt.Sprintf("%s%s (packet %d of the capture)", what, s.from(it.kept), it.Number)
	switch {
	case it.handshake:
		return "handshake: " + text
	case s.Kind != "":
		return string(s.Kind) + ": " + text
	}
	return text
}

// from says who sent a packet.
func (s *Selection) from(k *kept) string {
	at := netip.AddrPortFrom(k.src, k.srcPort)
	is := func(e finding.Endpoint) bool {
		return e.Addr() == k.src && (e.Port() == 0 || e.Port() == k.srcPort)
	}
	switch {
	case !k.src.IsValid():
		return ""
	case s.Flow != nil && is(s.Flow.Client) != is(s.Flow.Server):
		if is(s.Flow.Client) {
			return " from the client"
		}
		return " from the server"
	case k.srcPort == 0:
		return " from " + k.src.String()
	}
	return " from " + at.String()
}

// describe says what the headers of a packet are.
func describe(p *packet.Packet) string {
	switch {
	case p.IPVersion == 0:
		return "no IP"
	case p.Fragment:
		return "fragment"
	case !p.Transport:
		return fmt.Sprintf("IP protocol %d", p.Protocol)
	}
	switch p.Protocol {
	case packet.ProtocolTCP:
		return segment(p)
	case packet.ProtocolUDP:
		return fmt.Sprintf("%d bytes over UDP", max(0, p.IPPayloadLength-8))
	}
	return message(p)
}

// message says what an ICMP message is about (RFC 792, RFC 4443).
func message(p *packet.Packet) string {
	const four, six = 4 << 8, 6 << 8 // version of IP, with the type in the lower half
	switch m := p.ICMP; int(p.IPVersion)<<8 | int(m.Type) {
	case four | 3:
		if m.Code == 4 {
			return fmt.Sprintf("fragmentation needed, MTU %d,", m.MTU)
		}
		return fmt.Sprintf("destination unreachable, code %d,", m.Code)
	case six | 1:
		return fmt.Sprintf("destination unreachable, code %d,", m.Code)
	case six | 2:
		return fmt.Sprintf("packet too big, MTU %d,", m.MTU)
	case four | 11, six | 3:
		return "time exceeded"
	case four | 8, six | 128:
		return "echo request"
	case four, six | 129:
		return "echo reply"
	}
	return fmt.Sprintf("ICMP type %d code %d", p.ICMP.Type, p.ICMP.Code)
}

// segment says what a TCP segment does.
func segment(p *packet.Packet) string {
	const both = packet.SYN | packet.ACK
	switch {
	case p.Flags&packet.RST != 0:
		return "RST"
	case p.Flags&both == both:
		return "SYN-ACK"
	case p.Flags&packet.SYN != 0:
		return "SYN"
	case p.Flags&packet.FIN != 0:
		return "FIN"
	case p.SegmentLength > 0:
		return fmt.Sprintf("%d bytes of payload", p.SegmentLength)
	case p.Window == 0:
		return "ACK, zero window,"
	}
	return "ACK"
}
