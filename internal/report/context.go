package report

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
)

// A contextView is what Azure's rules say about the deciding flows.
type contextView struct {
	Flows []ruledFlow
	Names []namedAddress
	Gaps  []string
	Asked string
}

type ruledFlow struct {
	ID        string
	Title     string
	Number    int // of the finding, from 1, or 0
	Kind      string
	Agreement string
	Sentence  string
	NextStep  string
	Facts     []fact
	Rules     []ruleRow
}

type ruleRow struct{ Name, Group, Access, Priority, Match string }

type namedAddress struct{ Address, Kind, Name, Of string }

var agreements = map[controlplane.Agreement]string{
	controlplane.Agree:    "packets and rules agree",
	controlplane.Disagree: "packets and rules disagree",
	controlplane.Unclear:  "not enough is known of the rules",
}

// newContext returns nil where nobody was asked.
func newContext(c *controlplane.Context, a *analysis.Analysis) *contextView {
	if c == nil {
		return nil
	}
	v := &contextView{}
	if !c.Asked.IsZero() {
		v.Asked = moment(c.Asked)
	}
	for i := range c.Flows[:min(len(c.Flows), controlplane.MaxFlows)] {
		v.Flows = append(v.Flows, newRuledFlow(i+1, &c.Flows[i], a))
	}
	for _, n := range c.Names[:min(len(c.Names), controlplane.MaxNames)] {
		v.Names = append(v.Names, namedAddress{n.Address.String(), words(string(n.Kind)), printable(n.Name), escape(n.Of, maxPath)})
	}
	for _, g := range c.Gaps {
		v.Gaps = append(v.Gaps, printableText(g.Question)+": "+printableText(g.Reason))
	}
	return v
}

// words turns "private-endpoint" into "private endpoint".
func words(s string) string { return strings.ReplaceAll(printable(s), "-", " ") }

func newRuledFlow(number int, f *controlplane.Flow, a *analysis.Analysis) ruledFlow {
	v := ruledFlow{
		ID: fmt.Sprintf("flow-%d", number), Agreement: agreements[f.Agreement],
		Title:    strings.TrimSpace(fmt.Sprintf("%s %s, %s to %s", strings.ToUpper(printable(f.Protocol)), strings.ToLower(printable(string(f.Direction))), f.Local, f.Remote)),
		Sentence: sentence(f.Sentence), NextStep: printableText(f.NextStep),
	}
	if f.Direction == controlplane.Inbound {
		v.Title = strings.TrimSpace(fmt.Sprintf("%s inbound, %s to %s", strings.ToUpper(printable(f.Protocol)), f.Remote, f.Local))
	}
	if v.Agreement == "" {
		v.Agreement = printable(string(f.Agreement))
	}
	if f.Finding >= 0 && f.Finding < len(a.Findings) {
		v.Kind = printable(string(a.Findings[f.Finding].Kind))
		if carded(a, f.Finding) {
			v.Number = f.Finding + 1
		}
	}
	add := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, fact{Name: name, Value: value})
		}
	}
	add("In the packets", printable(string(f.Packets)))
	if g := f.Access; g != nil {
		text := "denied"
		if g.Allowed {
			text = "allowed"
		}
		if g.Rule != "" {
			text += " by " + printable(g.Rule)
		}
		if g.Group != "" {
			text += " of " + printable(lastSegment(g.Group))
		}
		add("Security groups", text+", says "+printable(string(g.By)))
	}
	if h := f.NextHop; h != nil {
		text := printable(h.Type)
		if h.Address.IsValid() {
			text += " " + h.Address.String()
		}
		if h.RouteTable != "" {
			text += ", from " + printable(lastSegment(h.RouteTable))
		}
		add("Next hop", text)
	}
	add("Network interface", printable(lastSegment(f.Interface)))
	if f.Culprit != "" {
		add("Culprit by the rules", culpritWords(f.Culprit))
	}
	if f.Confidence != nil {
		add("Confidence", fmt.Sprintf("%.0f %%, was %.0f %% by the packets alone", 100*f.Confidence.After, 100*f.Confidence.Before))
	}
	for _, r := range f.Rules[:min(len(f.Rules), controlplane.MaxRules)] {
		row := ruleRow{Name: printable(r.Name), Group: printable(lastSegment(r.Group)), Access: "deny", Priority: fmt.Sprint(r.Priority)}
		if r.Allowed {
			row.Access = "allow"
		}
		if r.At != "" {
			row.Group += ", at the " + printable(r.At)
		}
		row.Match = fmt.Sprintf("%s, %s to %s, ports %s", printable(r.Protocol), printable(r.Source), printable(r.Destination), printable(r.Ports))
		v.Rules = append(v.Rules, row)
	}
	return v
}

// sentence begins with a capital letter.
func sentence(s string) string {
	s = printableText(s)
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		return strings.ToUpper(s[:1]) + s[1:]
	}
	return s
}

// lastSegment is the name in an ARM ID; other names stay as they are.
func lastSegment(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// whose is the name that the control plane has for an address, or "".
func whose(c *controlplane.Context, a netip.Addr) string {
	if c == nil {
		return ""
	}
	n, ok := c.Name(a)
	if !ok {
		return ""
	}
	return strings.TrimSpace(printable(n.Name))
}
