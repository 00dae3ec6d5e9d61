package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

func (p *Policy) readProfiles(n node) {
	names := make(map[string]int)
	for _, item := range n.list() {
		o, ok := item.object("name", "when", "capture", "approval", "retention")
		if !ok {
			continue
		}
		profile := Profile{Line: item.Line, path: item.path}
		if n, ok := o.required("name", "what the profile is called"); ok {
			s, ok := n.text()
			switch line, twice := names[s]; {
			case !ok:
			case !namePattern.MatchString(s):
				n.fail("%+q is no name: 1 to 40 of a-z, 0-9 and -", shorten(s))
			case twice:
				n.fail("%+q is there twice, first in line %d", s, line)
			}
			names[s], profile.Name = n.Line, s
		}
		if n, ok := o.required("when", "which alerts start it"); ok {
			profile.When.read(n)
		}
		if n, ok := o.required("capture", "what is captured, and how much at most"); ok {
			profile.Capture.read(n, p)
		}
		if n, ok := o.required("approval", "who answers for it, and until when"); ok {
			profile.expires = profile.Approval.read(n)
		}
		if n, ok := o.required("retention", "how long the files are kept, such as 7d"); ok {
			profile.Retention, _ = n.duration(true, maxRetention)
		}
		p.Profiles = append(p.Profiles, profile)
	}
}

func (w *When) read(n node) {
	o, ok := n.object("alertRule", "severity", "signalType", "targetType")
	if !ok {
		return
	}
	if len(n.Content) == 0 {
		n.fail("is empty and would match every alert; name at least one of alertRule, severity, signalType, targetType")
	}
	if n, ok := o.optional("alertRule"); ok {
		w.AlertRules = each(n, node.words)
	}
	for _, choice := range []struct {
		key    string
		to     *[]string
		values []string
	}{
		{"severity", &w.Severities, []string{"Sev0", "Sev1", "Sev2", "Sev3", "Sev4"}},
		{"signalType", &w.SignalTypes, []string{"Metric", "Log", "ActivityLog", "Activity Log"}},
		{"targetType", &w.TargetTypes, []string{"vm", "vmss"}},
	} {
		if n, ok := o.optional(choice.key); ok {
			*choice.to = each(n, func(n node) (string, bool) { return n.oneOf(choice.values...) })
		}
	}
	for i, s := range w.SignalTypes {
		w.SignalTypes[i] = strings.ReplaceAll(s, " ", "")
	}
}

// oneOf reads one of a few words, whatever its case.
func (n node) oneOf(values ...string) (string, bool) {
	s, ok := n.text()
	if !ok {
		return "", false
	}
	for _, v := range values {
		if fold(v) == fold(s) {
			return v, true
		}
	}
	n.fail("%+q is none of %s", shorten(s), strings.Join(values, ", "))
	return "", false
}

func (c *Capture) read(n node, p *Policy) {
	o, ok := n.object("timeLimit", "totalBytes", "bytesPerPacket", "filters", "instances", "compareWith")
	if !ok {
		return
	}
	if n, ok := o.required("timeLimit", "every capture ends by itself, such as 5m"); ok {
		if d, ok := n.duration(false, maxTimeLimit); ok && d > p.Limits.TimeLimit {
			n.fail("%s is above limits.timeLimit, %s", FormatDuration(d), FormatDuration(p.Limits.TimeLimit))
		} else {
			c.TimeLimit = d
		}
	}
	if n, ok := o.required("totalBytes", "every capture has a size limit, such as 100MiB"); ok {
		if b, ok := n.size(); ok && b > p.Limits.TotalBytes {
			n.fail("%s is above limits.totalBytes, %s", FormatSize(b), FormatSize(p.Limits.TotalBytes))
		} else {
			c.TotalBytes = b
		}
	}
	if n, ok := o.optional("bytesPerPacket"); ok {
		c.BytesPerPacket, ok = n.integer(0, maxPacket)
		// Ethernet 14, IPv4 20, TCP 20 without options.
		if ok && c.BytesPerPacket > 0 && c.BytesPerPacket < 54 {
			n.warn("%d bytes do not hold the headers up to TCP's (54): ports or flags will not be visible", c.BytesPerPacket)
		}
	}
	if n, ok := o.required("filters", "a capture without a filter takes everybody's traffic; name an address, a network or a port"); ok {
		c.readFilters(n)
	}
	c.Instances = 1
	if n, ok := o.optional("instances"); ok {
		v, _ := n.integer(1, 1000)
		c.Instances = int(v)
	}
	if n, ok := o.optional("compareWith"); ok && !n.emptyList() {
		for _, item := range n.list() {
			id, ok := item.resource(resourceid.TypeVM, resourceid.TypeScaleSet)
			if !ok {
				continue
			}
			if refused := p.CheckTarget(id); refused != nil && !n.file.scopeBroken {
				item.fail("%s", refused.Message)
			}
			if slices.ContainsFunc(c.CompareWith, id.Equal) {
				item.fail("is there twice")
			}
			c.CompareWith = append(c.CompareWith, id)
		}
	}
}

// read returns the line of expires.
func (a *Approval) read(n node) (expires int) {
	o, ok := n.object("mode", "reason", "owner", "approver", "expires")
	if !ok {
		return 0
	}
	if n, ok := o.required("mode", "standing (approved in advance) or required (each time)"); ok {
		mode, _ := n.oneOf(string(Standing), string(Required))
		a.Mode = ApprovalMode(mode)
	}
	for _, f := range []struct {
		key, why string
		to       *string
		optional bool
	}{
		{key: "reason", why: "why this traffic may be recorded", to: &a.Reason},
		{key: "owner", why: "who answers for the recordings", to: &a.Owner},
		{key: "approver", why: "who approved it in advance", to: &a.Approver, optional: a.Mode == Required},
	} {
		n, ok := o.optional(f.key)
		switch {
		case ok:
			*f.to, _ = n.words()
		case !f.optional:
			o.required(f.key, f.why)
		}
	}
	if n, ok := o.required("expires", "the last day on which it is valid, such as 2027-01-31"); ok {
		if s, ok := n.text(); ok {
			day, err := time.Parse(time.DateOnly, s)
			if err != nil || !datePattern.MatchString(s) {
				n.fail("%+q is no date such as 2027-01-31", shorten(s))
			}
			a.Expires, expires = day, n.Line
		}
	}
	return expires
}
