package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

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
	v := a.Verdict
	fmt.Fprintf(out, "%s\n\n", printable(a.Capture.File))
	fmt.Fprintf(out, "Verdict: %s", v.Cause)
	if v.Culprit != finding.None && v.Culprit != "" {
		fmt.Fprintf(out, ", culprit: %s", v.Culprit)
	}
	fmt.Fprintf(out, " (%.0f %% sure)\n%s\n", v.Confidence*100, Wrap(v.Summary, width, "  "))
	if v.NextStep != "" {
		fmt.Fprintf(out, "%s\n", Wrap("Next: "+v.NextStep, width, "  "))
	}
	fmt.Fprintf(out, "\n%s\n", Wrap(describeCapture(a), width, ""))
	if a.Limits.Hit {
		fmt.Fprintf(out, "%s\n", Wrap("This is a part of the capture: a limit was reached. Dropped: "+dropped(a.Limits), width, ""))
	}
	if len(a.Findings) > 0 {
		fmt.Fprintf(out, "\nFindings\n")
	}
	listed, left := 0, 0
	for i, f := range a.Findings {
		if i > 0 && a.Findings[i-1].Severity != f.Severity {
			listed = 0
		}
		if listed++; listed > maxListed {
			left++
			continue
		}
		writeFinding(out, &f)
	}
	if left > 0 {
		fmt.Fprintf(out, "\n  and %d more: --format json has them all\n", left)
	}
	if len(a.Conversations) > 0 {
		fmt.Fprintf(out, "\nConversations\n")
		writeConversations(out, a.Conversations)
	}
}

func describeCapture(a *analysis.Analysis) string {
	c := a.Capture
	if !c.Readable {
		return "The file could not be read: " + printable(c.Error) + "."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d packets, %s, %s", c.Packets, Bytes(c.Bytes), c.Format)
	if c.LinkType != "" {
		fmt.Fprintf(&b, " of %s", c.LinkType)
	}
	if !c.FirstPacket.IsZero() {
		fmt.Fprintf(&b, ", %s to %s UTC (%s)", c.FirstPacket.UTC().Format("2006-01-02 15:04:05.000"), clockOf(c), duration(c.Span()))
	}
	if c.TruncatedPackets > 0 {
		fmt.Fprintf(&b, "; %d packets are cut at %d bytes", c.TruncatedPackets, c.SnapLength)
	}
	if c.CutShort {
		b.WriteString("; the file ends in the middle of a packet")
	}
	if c.Dropped > 0 {
		fmt.Fprintf(&b, "; the capturing machine dropped %d packets", c.Dropped)
	}
	b.WriteString(".")
	if c.SHA256 != "" {
		fmt.Fprintf(&b, " SHA-256 %s", c.SHA256)
	}
	return b.String()
}

// clockOf leaves the date out where it is that of the first packet.
func clockOf(c analysis.Capture) string {
	layout := "2006-01-02 15:04:05.000"
	if c.FirstPacket.UTC().Format(time.DateOnly) == c.LastPacket.UTC().Format(time.DateOnly) {
		layout = "15:04:05.000"
	}
	return c.LastPacket.UTC().Format(layout)
}

func writeFinding(out *bufio.Writer, f *finding.Finding) {
	fmt.Fprintf(out, "\n  %-8s %s", strings.ToUpper(f.Severity.String()), f.Kind)
	if f.Count > 1 {
		fmt.Fprintf(out, ", %d times", f.Count)
	}
	if f.Culprit != finding.None && f.Culprit != "" {
		fmt.Fprintf(out, ", culprit: %s", f.Culprit)
	}
	fmt.Fprintf(out, "\n%s\n", Wrap(printableText(f.Summary), width, "           "))
	if f.Flow != nil {
		fmt.Fprintf(out, "%s\n", Wrap(flowText(f.Flow), width, "           "))
	}
	if len(f.Packets) > 0 {
		fmt.Fprintf(out, "%s\n", Wrap("Packets "+packets(f.Packets), width, "           "))
	}
	if f.NextStep != "" {
		fmt.Fprintf(out, "%s\n", Wrap("Next: "+f.NextStep, width, "           "))
	}
}

func flowText(f *finding.Flow) string {
	s := strings.ToUpper(f.Protocol)
	if !f.Client.IsZero() {
		s += " " + f.Client.String()
	}
	if !f.Server.IsZero() {
		s += " > " + f.Server.String()
	}
	if f.SNI != "" {
		s += " (" + printable(f.SNI) + ")"
	}
	return s
}

func packets(numbers []int64) string {
	var b strings.Builder
	for i, n := range numbers {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, n)
	}
	return b.String()
}

func writeConversations(out *bufio.Writer, all []analysis.Conversation) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  client\tserver\tservice\tconns\tpackets\tbytes\tstate")
	for i, c := range all {
		if i == maxListed {
			break
		}
		service := c.Service
		if service == "" {
			service = c.Protocol
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%d\t%d\t%s\t%s\n",
			c.Client, c.Server, service, c.Connections, c.Packets[0]+c.Packets[1], Bytes(c.Bytes[0]+c.Bytes[1]), c.State)
	}
	t.Flush()
	if left := len(all) - maxListed; left > 0 {
		fmt.Fprintf(out, "  and %d more\n", left)
	}
}

func dropped(l analysis.Limits) string {
	var parts []string
	for _, what := range sortedKeys(l.Dropped) {
		parts = append(parts, fmt.Sprintf("%d %s", l.Dropped[what], what))
	}
	return strings.Join(parts, ", ") + "."
}

// Wrap breaks text at blanks so that no line is longer than width, each begun
// with indent.
func Wrap(text string, width int, indent string) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+n > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// Bytes writes a number of bytes with three digits: "3.21 MB".
func Bytes(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v := float64(n)
	i := 0
	for v >= 999.5 && i < len(units)-1 {
		v /= 1000
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.3g %s", v, units[i])
}

// duration is short and exact enough to compare.
func duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
