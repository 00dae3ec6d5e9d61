package report

import (
	"io"
	"strings"
)

// IncidentMarkdown writes what [Incident] writes for a ticket, as [Markdown]
// does for one capture.
func IncidentMarkdown(w io.Writer, captures []Page) error {
	in := newIncident(captures)
	v := newIncidentView(in)
	var d ticket
	title := mdText(v.Head.Headline)
	if v.Head.Service != "" {
		title = mdCodeRaw(v.Head.Service) + ": " + title
	}
	d.line("# %s: %s\n", v.Head.Word, title)
	d.line("%s", mdProse(v.Head.First))
	if len(v.Head.Summary) > 0 {
		d.line("\n%s", mdProse(v.Head.Summary))
	}
	if len(v.Head.NextStep) > 0 {
		d.line("\n**Next step:** %s", mdProse(v.Head.NextStep))
	}
	d.facts("Who, why, until when", v.Case)
	d.heading(2, "The captures")
	d.table("Capture", "Part", "Verdict", "Packets", "From, for (UTC)")
	for _, m := range v.Members {
		d.row(mdText(m.Name), m.Role, "**"+m.Word+"** "+mdText(m.Verdict), m.Packets, m.When)
	}
	d.compared(v)
	d.shared(v)
	d.kinds(v)
	if len(v.Rulings) > 0 {
		d.heading(2, "What Azure's rules say")
		for _, r := range v.Rulings {
			d.line("- %s", mdText(r))
		}
	}
	if len(v.Custody) > 0 {
		d.heading(2, "Evidence")
		d.table("Capture", "SHA-256", "Evidence", "Deleted after")
		for _, c := range v.Custody {
			d.row(mdText(c.Name), mdCodeRaw(c.SHA256), mdCodeRaw(c.Evidence), c.DeleteAfter)
		}
	}
	return d.end(w, v.Program)
}

func (d *ticket) compared(v *incidentView) {
	if len(v.Compared) == 0 {
		return
	}
	d.heading(2, "What differs")
	d.line("Compared with %s.\n", mdText(v.With))
	for _, c := range v.Compared {
		d.line("- **%s:** %s", mdText(c.Name), mdProse(c.Summary))
		for _, m := range c.More {
			d.line("  - %s", mdProse(m))
		}
	}
}

// shared has a table for each service, a column for each capture.
func (d *ticket) shared(v *incidentView) {
	const most = 6
	for i, s := range v.Shared {
		if i == most {
			d.line("\n%d services more are on the page.", len(v.Shared)-i)
			break
		}
		d.heading(2, mdText(s.Name))
		d.table("What", "Capture", "Value")
		for _, g := range s.Groups {
			for _, r := range g.Rows {
				value := r.Value
				if strings.HasSuffix(r.Class, "differs") {
					value = "**" + value + "**"
				}
				d.row(mdText(g.Name), mdText(r.Name), value)
			}
		}
	}
}

func (d *ticket) kinds(v *incidentView) {
	if len(v.Kinds) == 0 {
		return
	}
	d.heading(2, "Findings, by capture")
	head := []string{"Kind", "Severity"}
	for _, m := range v.Members {
		head = append(head, mdText(m.Name))
	}
	d.table(head...)
	for _, k := range v.Kinds {
		d.row(append([]string{mdCodeRaw(k.Kind), k.Severity}, k.Counts...)...)
	}
}
