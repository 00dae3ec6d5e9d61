package report

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/custody"
)

// caseFacts are who wanted the capture, why, and until when it is kept. The
// manifest knows more about the approval than the case does.
func caseFacts(about About, m *custody.Manifest) []fact {
	if reflect.ValueOf(about).IsZero() {
		return nil
	}
	var facts []fact
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, fact{Name: name, Value: value})
		}
	}
	add("Incident", printable(about.Incident))
	add("Case", printable(about.Case))
	add("Target", escape(about.Target, maxPath))
	add("Instance", printable(about.Instance))
	if about.Baseline {
		add("Role", "baseline: captured to compare with")
	}
	add("Region", printable(about.Region))
	add("Alert", printable(about.Alert))
	add("Severity", printable(about.Severity))
	add("Fired", moment(about.Fired))
	if !about.WindowStart.IsZero() && !about.WindowEnd.IsZero() {
		add("Alert measured", period(about.WindowStart, about.WindowEnd))
	}
	add("Profile", printable(about.Profile))
	add("Reason", printableText(about.Reason))
	add("Owner", printable(about.Owner))
	add("Approved by", printable(about.Approver))
	if m != nil {
		switch m.Authority.Mode {
		case "":
		case "standing":
			add("Approval", "standing, by the policy")
		default:
			add("Approval", printable(m.Authority.Mode))
		}
		add("Approved", moment(m.Authority.ApprovedAt))
		if t := m.Authority.ValidTo; !t.IsZero() {
			add("Approval valid until", t.UTC().Format("2006-01-02"))
		}
	}
	add("Filters", filters(about))
	add("Started", moment(about.Started))
	var limits []string
	if about.TimeLimit > 0 {
		limits = append(limits, span(about.TimeLimit))
	}
	if about.TotalBytes > 0 {
		limits = append(limits, Bytes(about.TotalBytes))
	}
	add("Limits", strings.Join(limits, ", "))
	add("Deleted after", moment(about.DeleteAfter))
	return facts
}

func filters(about About) string {
	var all []string
	for _, f := range about.Filters {
		all = append(all, escape(f, maxPath))
	}
	return strings.Join(all, "; ")
}

func captureFacts(c analysis.Capture) []fact {
	var facts []fact
	add := func(name, value string) { facts = append(facts, fact{Name: name, Value: value}) }
	add("File", escape(c.File, maxPath))
	if !c.Readable {
		add("Error", printableText(c.Error))
	}
	if c.Format != "" {
		add("Format", strings.TrimSuffix(printable(c.Format)+", "+printable(c.LinkType), ", "))
	}
	if c.Bytes > 0 || c.Readable {
		add("Size", fmt.Sprintf("%s (%s bytes)", Bytes(c.Bytes), count(c.Bytes)))
	}
	if c.Readable {
		add("Packets", count(c.Packets))
	}
	if !c.FirstPacket.IsZero() {
		add("Time", period(c.FirstPacket, c.LastPacket)+", "+span(c.Span()))
	}
	if c.SHA256 != "" {
		facts = append(facts, fact{Name: "SHA-256", Value: printable(c.SHA256), Code: true})
	}
	return facts
}

// coverage says what of the traffic is in the capture, and what of the capture
// is in the analysis: silence must not look as if nothing was left out.
func coverage(a *analysis.Analysis, about About) []string {
	c := a.Capture
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if f := filters(about); f != "" {
		add("Only what the filters let through is in it: %s.", f)
	}
	switch {
	case c.TruncatedPackets > 0 && c.SnapLength > 0:
		add("%s of %s are cut short, at %s bytes at most.", count(c.TruncatedPackets), times(c.Packets, "packet"), count(c.SnapLength))
	case c.TruncatedPackets > 0:
		add("%s of %s are cut short.", count(c.TruncatedPackets), times(c.Packets, "packet"))
	default:
		add("Every packet is whole.")
	}
	switch {
	case c.Error != "":
		add("Reading stopped early: %s.", strings.TrimSuffix(printableText(c.Error), "."))
	case c.CutShort:
		add("The file ends in the middle of a packet.")
	default:
		add("The file is complete: it ends behind a packet.")
	}
	if c.Dropped > 0 {
		add("The capturing machine dropped %s.", times(c.Dropped, "packet"))
	} else {
		add("The file tells of no packet that the capturing machine dropped.")
	}
	if a.Limits.Hit {
		add("A limit of the analysis was reached. Left out: %s.", dropped(a.Limits))
	} else {
		add("No limit of the analysis was reached: all of the capture is in the counters and findings.")
	}
	if machine := a.Vantage.Machine(); a.Vantage.Known() {
		text := "It was captured on " + printable(machine)
		if a.Vantage.Inferred {
			text += ", as the packets show: " + printableText(a.Vantage.Because)
		}
		add("%s.", strings.TrimSuffix(text, "."))
	} else {
		add("It does not show on which machine it was captured.")
	}
	return all
}
