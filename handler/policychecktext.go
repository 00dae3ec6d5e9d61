package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// A page is plain text, 80 columns wide where words allow.
type page struct{ *bufio.Writer }

const pageWidth = 80

// item writes "  label   text", the text wrapped under itself. Words longer
// than the line, such as resource IDs, stay in one piece.
func (p page) item(indent int, label string, width int, text string) {
	start := indent + width
	line := strings.Repeat(" ", indent) + fmt.Sprintf("%-*s", width, label)
	used := false
	for word := range strings.FieldsSeq(text) {
		if used && len(line)+1+len(word) > pageWidth {
			fmt.Fprintln(p, line)
			line, used = strings.Repeat(" ", start), false
		}
		if used {
			line += " "
		}
		line += word
		used = true
	}
	fmt.Fprintln(p, strings.TrimRight(line, " "))
}

func (c *checked) writeText(w io.Writer) error {
	p := page{bufio.NewWriter(w)}
	if c.policy == nil {
		for _, m := range c.mistakes {
			fmt.Fprintf(p, "%s:%s\n", c.file, m)
		}
		fmt.Fprintf(p, "\nThe policy is not valid: %s. Nothing would start.\n", count(len(c.mistakes), "mistake"))
		return p.Flush()
	}
	fmt.Fprintf(p, "%s is valid: %s.\n", c.file, count(len(c.policy.Profiles), "profile"))
	for _, line := range c.warningLines() {
		p.item(0, "warning:", 9, line)
	}
	fmt.Fprintln(p)
	if c.tried {
		c.writeDecision(p)
	} else {
		c.writeProfiles(p)
	}
	return p.Flush()
}

// count writes "1 profile" or "2 profiles".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (c *checked) writeProfiles(p page) {
	for _, profile := range c.policy.Profiles {
		fmt.Fprintln(p, profile.Name)
		w := profile.When
		for _, when := range []struct {
			key    string
			values []string
		}{
			{"rule", w.AlertRules}, {"severity", w.Severities}, {"signal", w.SignalTypes}, {"target", w.TargetTypes},
		} {
			if len(when.values) > 0 {
				p.item(2, when.key, 10, strings.Join(when.values, ", "))
			}
		}
		capture := profile.Capture
		p.item(2, "limits", 10, limits(capture.TimeLimit, capture.TotalBytes, capture.BytesPerPacket, profile.Retention))
		p.item(2, "filters", 10, count(len(capture.Filters), "filter"))
		p.item(2, "approval", 10, approval(profile.Approval))
		fmt.Fprintln(p)
	}
	p.item(0, "Next:", 6, "try an alert with --alert FILE, a payload in the common alert schema.")
}

func limits(d time.Duration, total, perPacket int64, retention time.Duration) string {
	packets := "whole packets"
	if perPacket > 0 {
		packets = fmt.Sprintf("the first %d bytes of each packet", perPacket)
	}
	return fmt.Sprintf("%s, %s, %s; kept for %s", policy.FormatDuration(d), policy.FormatSize(total), packets, policy.FormatDuration(retention))
}

func approval(a policy.Approval) string {
	who := "each time, by " + a.Owner
	if a.Mode == policy.Standing {
		who = "standing, by " + a.Approver + ", owner " + a.Owner
	}
	return who + ", through " + a.Expires.Format(time.DateOnly)
}

func (c *checked) writeDecision(p page) {
	if a := c.alert; a != nil {
		p.item(0, "alert", 10, summary(a))
		p.item(0, "fired", 10, a.Fired.Format(time.RFC3339)+", judged as of "+c.now.UTC().Format(time.RFC3339))
		for _, t := range a.Targets {
			p.item(0, "target", 10, string(t.Type)+" from "+visible(t.Source))
			p.item(10, "", 0, visible(t.Given))
		}
		fmt.Fprintln(p)
		fmt.Fprintln(p, "profiles, in the order of the file:")
		for _, m := range c.decision.Matches {
			p.item(2, m.Profile, 2+longestName(c.decision.Matches), c.verdict(m))
		}
		fmt.Fprintln(p)
	}
	if len(c.decision.Allowed) > 0 {
		fmt.Fprintf(p, "would start %s:\n", count(len(c.decision.Allowed), "capture"))
	}
	for _, plan := range c.decision.Allowed {
		writePlan(p, plan)
	}
	if len(c.decision.Refused) > 0 {
		fmt.Fprintf(p, "refused, %s:\n", count(len(c.decision.Refused), "capture"))
	}
	for _, r := range c.decision.Refused {
		target := visible(r.Target)
		if target == "" {
			target = "the alert"
		}
		p.item(2, "", 0, target)
		p.item(4, "reason", 10, string(r.Reason))
		p.item(4, "why", 10, r.Message)
		fmt.Fprintln(p)
	}
	p.item(0, "Next:", 6, c.next())
}

func summary(a *alert.Alert) string {
	words := []string{visible(a.Rule), string(a.Kind)}
	for _, s := range []string{a.Severity, a.SignalType, string(a.Condition)} {
		if s != "" {
			words = append(words, visible(s))
		}
	}
	if a.Rule == "" {
		words = words[1:]
	}
	return strings.Join(words, ", ")
}

func longestName(matches []policy.Match) int {
	longest := 0
	for _, m := range matches {
		longest = max(longest, len(m.Profile))
	}
	return longest
}

// verdict says why a profile applies or does not.
func (c *checked) verdict(m policy.Match) string {
	switch {
	case m.Why != "":
		return "no: " + m.Why
	case m.Profile == c.decision.Profile && c.alert.Profile != "":
		return "applies: the rule asks for it by pcapProfile"
	case m.Profile == c.decision.Profile:
		return "applies"
	case c.decision.Profile == "":
		return "matches, but the rule asks for another by pcapProfile"
	}
	return "matches too, shadowed by " + c.decision.Profile
}

func writePlan(p page, plan policy.Plan) {
	p.item(2, "", 0, visible(plan.Given))
	p.item(4, "role", 10, string(plan.Role)+", from "+visible(plan.Source))
	p.item(4, "limits", 10, limits(plan.TimeLimit, plan.TotalBytes, plan.BytesPerPacket, plan.Retention))
	for _, f := range plan.Filters {
		p.item(4, "filter", 10, f.String())
	}
	p.item(4, "approval", 10, approval(plan.Approval))
	p.item(4, "reason", 10, plan.Approval.Reason)
	for i, check := range plan.CheckedAtStart {
		label := ""
		if i == 0 {
			label = "at start"
		}
		p.item(4, label, 10, check)
	}
	fmt.Fprintln(p)
}

// nextSteps say what somebody does about a refusal.
var nextSteps = map[policy.Reason]string{
	policy.TestAction:         "fire the rule for real, or put a machine of yours into a copy of this payload.",
	policy.NotFired:           "nothing; captures end by themselves.",
	policy.TimeInvalid:        "use a payload that Azure sent; see firedDateTime.",
	policy.FiredInFuture:      "give the time of the alert with --now, or correct firedDateTime.",
	policy.TargetInvalid:      "find out who sent this; Azure writes no such resource ID.",
	policy.NoTarget:           "change the alert rule so that it names a machine.",
	policy.NoProfile:          "change \"when\" of the profile that was meant, or the rule.",
	policy.ProfileUnknown:     "correct the custom property pcapProfile of the rule.",
	policy.ProfileNotMatching: "correct pcapProfile of the rule, or \"when\" of that profile.",
	policy.TargetTypeExcluded: "add the type to when.targetType, or leave it.",
	policy.ApprovalExpired:    "have the approval renewed, and change approval.expires.",
	policy.AwaitingApproval:   "when such an alert fires, the owner has to approve the capture.",
	policy.OutOfScope:         "add the subscription or resource group to scope, if captures may run there.",
	policy.PlaceholderMissing: "let the alert rule split by that dimension.",
	policy.PlaceholderInvalid: "check the alert's dimension, and \"within\" of the filter.",
	policy.TooManyFilters:     "narrow the alert rule.",
	policy.NeedsLookup:        "nothing, if the machine is in scope: only Azure can tell.",
	policy.NotAMachine:        "nothing; captures run on machines only.",

	policy.Reason(alert.SchemaUnknown): "turn the common alert schema on in the action group.",
}

func (c *checked) next() string {
	if len(c.decision.Allowed) > 0 {
		return "nothing was started. What is listed under \"at start\" is checked when the alert comes."
	}
	if step, ok := nextSteps[c.decision.Refused[0].Reason]; ok {
		return step
	}
	return "use a payload as Azure Monitor sends it, in the common alert schema."
}
