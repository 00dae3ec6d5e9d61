package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// width is what text is laid out for.
const width = 80

// maxListed is how many findings of one severity, and how many conversations,
// the text shows; the JSON has the rest.
const maxListed = 15

// Text writes analyses for a terminal: the verdict first, then the findings
// by severity, then the conversations. It needs neither colour nor more than
// 80 columns.
func Text(w io.Writer, all ...*analysis.Analysis) error {
	out := bufio.NewWriter(w)
	for i, a := range all {
		if i > 0 {
			fmt.Fprintf(out, "\n%s\n\n", strings.Repeat("=", width))
		}
		writeText(out, a)
	}
	return out.Flush()
}

func writeText(out *bufio.Writer, a *analysis.Analysis) {
	line := func(indent, text string) {
		if text != "" {
			fmt.Fprintln(out, Wrap(text, width, indent))
		}
	}
	v := a.Verdict
	line("", escape(a.Capture.File, maxPath))
	fmt.Fprintln(out)
	head := "Verdict: " + printable(string(v.Cause))
	if v.Culprit != finding.None && v.Culprit != "" {
		head += ", culprit: " + printable(string(v.Culprit))
	}
	line("", fmt.Sprintf("%s (%.0f %% sure)", head, v.Confidence*100))
	line("  ", printableText(v.Summary))
	if v.NextStep != "" {
		line("  ", "Next: "+printableText(v.NextStep))
	}
	fmt.Fprintln(out)
	for _, s := range describeCapture(a) {
		line("", s)
	}
	for _, note := range incomplete(a) {
		line("", note)
	}
	if a.Capture.SHA256 != "" {
		line("", "SHA-256 "+printable(a.Capture.SHA256))
	}
	if !a.Capture.Readable {
		return
	}
	writeFindings(out, a.Findings, v.NextStep)
	writeConversations(out, a.Conversations)
}

// describeCapture says what was read, and when it was captured.
func describeCapture(a *analysis.Analysis) []string {
	c := a.Capture
	if !c.Readable {
		return []string{strings.TrimSuffix("The file could not be read: "+strings.TrimSuffix(printableText(c.Error), "."), ": ") + "."}
	}
	what := fmt.Sprintf("%s, %s, %s", times(c.Packets, "packet"), Bytes(c.Bytes), printable(c.Format))
	if c.LinkType != "" {
		what += " of " + printable(c.LinkType)
	}
	if c.FirstPacket.IsZero() {
		return []string{what}
	}
	when := period(c.FirstPacket, c.LastPacket)
	if c.Span() > 0 {
		when += " (" + span(c.Span()) + ")"
	}
	return []string{what, when}
}

// writeFindings says what to do next once: not again what the verdict, or the
// finding before, has said.
func writeFindings(out *bufio.Writer, findings []finding.Finding, said string) {
	fmt.Fprintf(out, "\nFindings\n")
	if len(findings) == 0 || findings[0].Severity == finding.Info {
		fmt.Fprintf(out, "\n  No finding above info.\n")
	}
	listed, left := 0, 0
	for i := range findings {
		f := &findings[i]
		if i > 0 && findings[i-1].Severity != f.Severity {
			listed = 0
		}
		if listed++; listed > maxListed {
			left++
			continue
		}
		writeFinding(out, f, f.NextStep != said)
		if f.NextStep != "" {
			said = f.NextStep
		}
	}
	if left > 0 {
		fmt.Fprintf(out, "\n  and %d more: --format json has them all\n", left)
	}
}

func writeFinding(out *bufio.Writer, f *finding.Finding, next bool) {
	const indent = "           "
	head := printable(string(f.Kind))
	if f.Count > 1 {
		head += fmt.Sprintf(", %d times", f.Count)
	}
	if f.Culprit != finding.None && f.Culprit != "" {
		head += ", culprit: " + printable(string(f.Culprit))
	}
	wrapped := strings.TrimPrefix(Wrap(head, width, indent), indent)
	fmt.Fprintf(out, "\n  %-8s %s\n", strings.ToUpper(f.Severity.String()), wrapped)
	lines := []string{printableText(f.Summary)}
	if f.Flow != nil {
		lines = append(lines, flowText(f.Flow))
	}
	if len(f.Packets) > 0 {
		lines = append(lines, plural(len(f.Packets), "Packet")+" "+packets(f.Packets))
	}
	if next && f.NextStep != "" {
		lines = append(lines, "Next: "+printableText(f.NextStep))
	}
	for _, s := range lines {
		if s != "" {
			fmt.Fprintln(out, Wrap(s, width, indent))
		}
	}
}

// writeConversations gives each two lines, who and how much, because two IPv6
// endpoints alone can fill more than one.
func writeConversations(out *bufio.Writer, all []analysis.Conversation) {
	if len(all) == 0 {
		fmt.Fprintf(out, "\nNo conversations.\n")
		return
	}
	const row = "  %7s %7v %9v %9v %8v %8v  %s\n"
	fmt.Fprintf(out, "\nConversations, the busiest first\n\n")
	fmt.Fprintf(out, row, "", "conns", "packets", "payload", "retrans", "rtt", "state")
	for i := range all {
		if i == maxListed {
			fmt.Fprintf(out, "\n  and %d more\n", len(all)-maxListed)
			break
		}
		c := &all[i]
		fmt.Fprintln(out, Wrap(conversationText(c), width, "  "))
		retrans, rtt := "-", "-"
		if c.Protocol == "tcp" {
			retrans = fmt.Sprint(c.Retransmits)
		}
		if c.RTT > 0 {
			rtt = span(c.RTT)
		}
		fmt.Fprintf(out, row, "", c.Connections, c.Packets[0]+c.Packets[1], Bytes(c.Bytes[0]+c.Bytes[1]), retrans, rtt,
			shorten(printable(c.State), 16))
	}
}

// conversationText is "tls 10.0.0.4 > 192.0.2.7:443 (example.net, in vxlan)".
func conversationText(c *analysis.Conversation) string {
	s := fmt.Sprintf("%s %s > %s", service(c), c.Client, c.Server)
	var more []string
	if c.SNI != "" {
		more = append(more, name(c.SNI))
	}
	if c.Tunnel != "" {
		more = append(more, "in "+printable(c.Tunnel))
	}
	if len(more) > 0 {
		s += " (" + strings.Join(more, ", ") + ")"
	}
	return s
}

func service(c *analysis.Conversation) string {
	switch {
	case c.Service != "" && c.Protocol != "tcp" && c.Protocol != "":
		return printable(c.Service) + "/" + printable(c.Protocol)
	case c.Service != "":
		return printable(c.Service)
	}
	return printable(c.Protocol)
}
