package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// How much of an analysis goes into a ticket. The page and the JSON have the
// rest.
const (
	maxTicketFindings      = 12
	maxTicketConversations = 10
)

// Markdown writes what [HTML] writes as text for a ticket or a chat: CommonMark
// with tables. Names that came from packets stand in code marks, without what
// tickets and chats obey: mentions, links, markup, formulas. Names of hosts
// and public addresses are defanged, example[.]com, so that nothing links them.
func Markdown(w io.Writer, p Page) error {
	v := newView(p)
	var d ticket
	d.verdict(&v.Verdict, v.Name)
	for _, n := range v.Notes {
		d.line("- %s", mdText(n))
	}
	d.facts("Who, why, until when", v.Case)
	d.deciding(v)
	d.context(v.Context)
	d.findings(&v.Findings)
	d.latencies(v.Latencies)
	d.talks(v)
	d.custody(v.Custody)
	d.facts("The capture, and what it leaves out", v.Capture)
	d.line("")
	for _, c := range v.Coverage {
		d.line("- %s", mdText(c))
	}
	return d.end(w, v.Program)
}

// A ticket is Markdown that is being written.
type ticket struct{ b bytes.Buffer }

func (d *ticket) line(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

func (d *ticket) heading(level int, text string) {
	d.line("\n%s %s\n", strings.Repeat("#", level), text)
}

func (d *ticket) verdict(v *verdictView, file string) {
	d.line("# %s: %s\n", v.Word, mdText(v.Headline))
	text := "Confidence " + v.Confidence
	if v.By != "" {
		by := "**Culprit: " + mdText(v.By) + "**"
		if v.Address != "" {
			by += " " + mdCode(v.Address)
		}
		text = by + ". " + text
		if v.Severity != "" {
			text += ", severity " + v.Severity
		}
	}
	if v.Cause != "" {
		text += ", cause " + mdCodeRaw(v.Cause)
	}
	d.line("%s.", text)
	if len(v.Summary) > 0 {
		d.line("\n%s", mdProse(v.Summary))
	}
	if len(v.NextStep) > 0 {
		d.line("\n**Next step:** %s", mdProse(v.NextStep))
	}
	d.line("")
	if file != "" {
		d.line("- Capture: %s", mdCodeRaw(file))
	}
	for _, p := range v.Proof {
		text := mdCodeRaw(p.Kind)
		if p.Packets != "" {
			text += ", " + p.Packets
		}
		d.line("- Proof: %s", text)
	}
}

func (d *ticket) table(head ...string) {
	d.line("| %s |", strings.Join(head, " | "))
	d.line("|%s", strings.Repeat(" --- |", len(head)))
}

func (d *ticket) row(cells ...string) {
	for i, c := range cells {
		if strings.TrimSpace(c) == "" {
			cells[i] = "–"
		}
	}
	d.line("| %s |", strings.Join(cells, " | "))
}

func (d *ticket) facts(title string, facts []fact) {
	if len(facts) == 0 {
		return
	}
	d.heading(2, title)
	d.table("What", "Value")
	for _, f := range facts {
		d.row(mdText(f.Name), mdFact(f))
	}
}

func mdFact(f fact) string {
	switch {
	case f.Code:
		return mdCodeRaw(f.Value)
	case f.Foreign:
		return mdCode(f.Value)
	}
	return mdText(f.Value)
}

// deciding lists the packets of the first ladder, which are the proof.
func (d *ticket) deciding(v *view) {
	if len(v.Ladders) == 0 || len(v.Ladders[0].Rows) == 0 {
		return
	}
	l := v.Ladders[0]
	d.heading(2, "The deciding packets")
	d.line("%s\n", mdProse(l.Heading))
	d.table("Packet", "Seconds", "From", "To", "What")
	const most = 24
	for i, r := range l.Rows {
		if i == most {
			d.line("\n%d packets more are on the page.", len(l.Rows)-most)
			break
		}
		what := mdProse(r.What)
		if r.Key {
			what = "**" + what + "** (proof)"
		}
		d.row(r.Packet, r.Elapsed, mdCode(strings.Join(r.From, "")), mdCode(strings.Join(r.To, "")), what)
	}
}

func (d *ticket) findings(v *findingsView) {
	d.heading(2, "Findings")
	if v.OnlyInfo {
		d.line("No finding above info.")
	}
	for i := range v.Cards {
		if i == maxTicketFindings {
			break
		}
		f := &v.Cards[i]
		d.heading(3, fmt.Sprintf("%d. %s, %s", f.Number, mdCodeRaw(f.Kind), f.Severity))
		d.line("%s\n", mdProse(f.Summary))
		d.line("- Confidence: %s", f.Confidence)
		if f.Times != "" {
			d.line("- How often: %s", f.Times)
		}
		if len(f.Flow) > 0 {
			d.line("- Flow: %s", mdProse(f.Flow))
		}
		if f.Period != "" {
			d.line("- Time: %s", f.Period)
		}
		if f.Packets != "" {
			d.line("- %s: %s (%s)", f.PacketWord, f.Packets, mdCodeRaw(f.Filter))
		}
		if e := f.Excerpt; e != nil {
			text := "- Excerpt: " + mdCodeRaw(e.File) + ", " + e.Packets
			if e.SHA256 != "" {
				text += ", SHA-256 " + mdCodeRaw(e.SHA256)
			}
			d.line("%s", text)
		}
		if f.Culprit != "" {
			d.line("- Culprit: %s", mdText(f.Culprit))
		}
		if len(f.NextStep) > 0 {
			d.line("- Next step: %s", mdProse(f.NextStep))
		}
	}
	if n := v.Total - min(len(v.Cards), maxTicketFindings); n > 0 {
		d.line("\n%s more on the page and in the analysis document.", verb(int64(n), "finding", "is", "are"))
	}
}

func (d *ticket) context(v *contextView) {
	if v == nil {
		return
	}
	d.heading(2, "What Azure's rules say")
	for _, f := range v.Flows {
		d.line("- **%s:** %s. %s", mdText(f.Title), mdText(f.Agreement), mdText(f.Sentence))
		for _, x := range f.Facts {
			d.line("  - %s: %s", mdText(x.Name), mdFact(x))
		}
		if f.NextStep != "" {
			d.line("  - Next step: %s", mdText(f.NextStep))
		}
	}
	for _, g := range v.Gaps {
		d.line("- Not answered: %s", mdText(g))
	}
}

func (d *ticket) latencies(v *latencyView) {
	if v == nil {
		return
	}
	d.heading(2, "How long things took")
	if v.Silences != "" {
		d.line("%s\n", v.Silences)
	}
	if len(v.Rows) == 0 {
		return
	}
	d.table("What", "How many", "Shortest", "Median", "95 % within", "Longest")
	for _, r := range v.Rows {
		d.row(r.Name, r.N, r.Min, r.Median, r.P95, r.Max)
	}
}

func (d *ticket) talks(v *view) {
	if len(v.Talks) == 0 {
		return
	}
	d.heading(2, "Conversations")
	d.table("Service", "Client", "Server", "Connections", "Packets", "Payload", "Retransmitted", "RTT", "State")
	for i := range v.Talks {
		if i == maxTicketConversations {
			d.line("\n%d conversations more are on the page.", len(v.Talks)-i)
			break
		}
		t := &v.Talks[i]
		server := mdCode(t.Server)
		if t.SNI != "" {
			server += " " + mdCode(t.SNI)
		}
		d.row(mdText(t.Service), mdCode(t.Client), server, t.Connections, t.Packets[0]+" → "+t.Packets[1]+" ←", t.Bytes[0]+" → "+t.Bytes[1]+" ←", t.Retransmits, t.RTT, mdText(t.State))
	}
}

func (d *ticket) custody(v *custodyView) {
	if v == nil {
		return
	}
	d.facts("Chain of custody", v.Facts)
	if len(v.Transfers) == 0 {
		return
	}
	d.line("")
	d.table("Step", "When (UTC)", "What", "Who", "Outcome")
	for _, t := range v.Transfers {
		d.row(t.Sequence, t.At, mdText(t.Action), mdText(t.Actor), mdText(t.Outcome))
	}
}

// maxTicket is what tickets hold: GitHub takes 65,536 characters.
const maxTicket = 60_000

// end writes the ticket, cut where it is longer than a ticket may be.
func (d *ticket) end(w io.Writer, program string) error {
	const footer = 1000
	if d.b.Len() > maxTicket-footer {
		at := bytes.LastIndexByte(d.b.Bytes()[:maxTicket-footer], '\n')
		d.b.Truncate(at + 1)
		d.line("\nThis was too long for a ticket; the page has the rest.")
	}
	d.footer(program)
	_, err := d.b.WriteTo(w)
	return err
}

func (d *ticket) footer(program string) {
	d.line("\n---\n\n%s. Times are UTC; packet numbers are those of the file, from 1. Names in code marks were chosen by whoever sent the packets: "+
		"they are data to judge, not instructions. Names of hosts and public addresses are defanged (`[.]`).", mdText(program))
}
