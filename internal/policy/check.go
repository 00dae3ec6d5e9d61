package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// choose finds the profile for an alert: the first in the file that matches,
// or the one among the matching that the rule asks for.
func (p *Policy) choose(d *Decision, a alert.Alert) (*Profile, *Refusal) {
	var matching []*Profile
	known := false
	for i := range p.Profiles {
		profile := &p.Profiles[i]
		why := profile.When.mismatch(a)
		d.Matches = append(d.Matches, Match{profile.Name, profile.Line, why})
		if why == "" {
			matching = append(matching, profile)
		}
		known = known || profile.Name == a.Profile
	}
	chosen := 0
	if a.Profile != "" {
		chosen = slices.IndexFunc(matching, func(p *Profile) bool { return p.Name == a.Profile })
		switch {
		case !known:
			return nil, &Refusal{Reason: ProfileUnknown, Message: fmt.Sprintf("custom property pcapProfile is %+q, and no profile is called that", a.Profile)}
		case chosen < 0:
			return nil, &Refusal{Reason: ProfileNotMatching, Message: fmt.Sprintf("custom property pcapProfile is %+q, and that profile's \"when\" does not match the alert", a.Profile)}
		}
	}
	if len(matching) == 0 {
		return nil, &Refusal{Reason: NoProfile, Message: "no profile's \"when\" matches the alert; pcapwarden policy check --alert says why, profile by profile"}
	}
	d.Profile = matching[chosen].Name
	for i, profile := range matching {
		if i != chosen {
			d.Shadowed = append(d.Shadowed, profile.Name)
		}
	}
	return matching[chosen], nil
}

// mismatch says why an alert is not for this profile, or "".
func (w When) mismatch(a alert.Alert) string {
	for _, c := range []struct {
		key, value string
		allowed    []string
	}{
		{"alertRule", a.Rule, w.AlertRules},
		{"severity", a.Severity, w.Severities},
		{"signalType", strings.ReplaceAll(a.SignalType, " ", ""), w.SignalTypes},
	} {
		matches := func(s string) bool { return fold(s) == fold(c.value) }
		if len(c.allowed) > 0 && !slices.ContainsFunc(c.allowed, matches) {
			return fmt.Sprintf("%s: the alert has %+.64q, the profile %s", c.key, c.value, strings.Join(c.allowed, ", "))
		}
	}
	if len(w.TargetTypes) == 0 {
		return ""
	}
	var types []string
	for _, t := range a.Targets {
		if t.Machine() {
			types = append(types, whenType(t))
		}
	}
	if slices.ContainsFunc(types, func(t string) bool { return slices.Contains(w.TargetTypes, t) }) {
		return ""
	}
	slices.Sort(types)
	return fmt.Sprintf("targetType: the alert has %+q, the profile %s", strings.Join(slices.Compact(types), ", "), strings.Join(w.TargetTypes, ", "))
}

// CheckTarget says whether a machine may be captured as far as its ID tells,
// nil if it may. What a lookup found goes through here.
func (p *Policy) CheckTarget(id resourceid.ID) *Refusal {
	if !id.Is(resourceid.TypeVM) && !id.Is(resourceid.TypeScaleSet) {
		return &Refusal{Target: id.String(), Reason: NotAMachine, Message: "is a " + shorten(id.Type()) + ", no virtual machine or scale set"}
	}
	return p.checkScope(id)
}

func (p *Policy) checkScope(id resourceid.ID) *Refusal {
	message := ""
	switch {
	case !slices.Contains(p.Scope.Subscriptions, fold(id.Subscription())):
		message = "subscription " + id.Subscription() + " is not in scope.subscriptions"
	case !slices.Contains(p.Scope.ResourceGroups, fold(id.ResourceGroup())):
		message = fmt.Sprintf("resource group %+q is not in scope.resourceGroups", shorten(id.ResourceGroup()))
	default:
		return nil
	}
	return &Refusal{Target: id.String(), Reason: OutOfScope, Message: message}
}

// CheckMachine judges what only Azure knows of a machine, and is to be asked
// right before a start, since tags change: it returns the landing account of
// the region, or why there is no start.
func (p *Policy) CheckMachine(tags map[string]string, region string) (landing resourceid.ID, refusal *Refusal) {
	for _, name := range slices.Sorted(maps.Keys(p.Scope.DenyTag)) {
		if v, ok := tag(tags, name); ok && v == p.Scope.DenyTag[name] {
			return resourceid.ID{}, &Refusal{Reason: TagDenied, Message: fmt.Sprintf("the machine has the tag %s=%s, which scope.denyTag excludes", name, v)}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Scope.RequireTag)) {
		if v, ok := tag(tags, name); !ok || v != p.Scope.RequireTag[name] {
			return resourceid.ID{}, &Refusal{Reason: TagMissing, Message: fmt.Sprintf("the machine has no tag %s=%s, which scope.requireTag asks for", name, p.Scope.RequireTag[name])}
		}
	}
	landing, ok := p.Landing[Region(region)]
	if !ok {
		return resourceid.ID{}, &Refusal{Reason: NoLanding, Message: fmt.Sprintf("the policy has no landing account in region %+.40q; Network Watcher stores captures in the machine's region only", region)}
	}
	return landing, nil
}

// tag finds a tag as Azure does: names without case, values with.
func tag(tags map[string]string, name string) (string, bool) {
	if v, ok := tags[name]; ok {
		return v, true
	}
	for k, v := range tags {
		if fold(k) == fold(name) {
			return v, true
		}
	}
	return "", false
}

// tagChecks says in words which tags a start asks for.
func (s Scope) tagChecks() []string {
	var checks []string
	for _, name := range slices.Sorted(maps.Keys(s.RequireTag)) {
		checks = append(checks, "tags: has "+name+"="+s.RequireTag[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.DenyTag)) {
		checks = append(checks, "tags: has not "+name+"="+s.DenyTag[name])
	}
	return checks
}
