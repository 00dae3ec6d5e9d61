package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// How old an alert may be when it comes, and how far ahead its clock.
const (
	MaxAge  = 15 * time.Minute
	MaxSkew = 5 * time.Minute
)

// firstAlert is older than any alert in the common schema.
var firstAlert = time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)

// Decide says which captures an alert may start now. What only Azure knows of
// the machines (tags, region, power, agent) has to be checked at the start,
// see [Policy.CheckMachine].
func (p *Policy) Decide(a alert.Alert, now time.Time) Decision {
	return p.decide(a, now, false)
}

// DryRun is Decide for trying a policy out: an old alert is only warned of,
// and a machine that has to be looked up is refused.
func (p *Policy) DryRun(a alert.Alert, now time.Time) Decision {
	return p.decide(a, now, true)
}

func (p *Policy) decide(a alert.Alert, now time.Time, dry bool) Decision {
	var d Decision
	profile, refusal := p.choose(&d, a)
	age := now.Sub(a.Fired)
	// What is wrong with the alert itself comes before what the policy says.
	switch {
	case a.TestAction:
		refusal = &Refusal{Reason: TestAction, Message: "the alert is of the test button of an action group; its machines do not exist. It arrived, which is what it tests"}
	case a.Condition != alert.Fired:
		refusal = &Refusal{Reason: NotFired, Message: "the alert is resolved; captures start when one fires"}
	case a.Fired.Before(firstAlert):
		refusal = &Refusal{Reason: TimeInvalid, Message: "the alert says it fired at " + stamp(a.Fired) + ", before there were such alerts"}
	case age < -MaxSkew:
		refusal = &Refusal{Reason: FiredInFuture, Message: fmt.Sprintf("the alert says it fired at %s, and it is %s now; check the clocks", stamp(a.Fired), stamp(now))}
	case age > MaxAge && !dry:
		refusal = &Refusal{Reason: Stale, Message: fmt.Sprintf("the alert fired at %s, more than %s ago; a capture would record something else", stamp(a.Fired), FormatDuration(MaxAge))}
	}
	if age > MaxAge && dry && (refusal == nil || isPolicyReason(refusal.Reason)) {
		d.Warnings = append(d.Warnings, fmt.Sprintf("the alert fired at %s; one that arrives more than %s after it fired is refused", stamp(a.Fired), FormatDuration(MaxAge)))
	}
	if bad := slices.IndexFunc(a.Targets, malformed); bad >= 0 && (refusal == nil || isPolicyReason(refusal.Reason)) {
		d.refuseMalformed(a)
		return d
	}
	if a.NoTarget != "" && (refusal == nil || isPolicyReason(refusal.Reason)) {
		refusal = &Refusal{Reason: NoTarget, Message: a.NoTarget}
	}
	if refusal == nil && !profile.Approval.ValidAt(now) {
		refusal = &Refusal{Reason: ApprovalExpired, Message: fmt.Sprintf("the approval of profile %s expired on %s; have it renewed by its owner", profile.Name, profile.Approval.Expires.Format(time.DateOnly))}
	}
	if refusal != nil {
		d.refuseAll(a, *refusal)
		return d
	}
	p.plan(&d, a, profile, dry)
	return d
}

func malformed(t alert.Target) bool { return t.Type == alert.Malformed }

// isPolicyReason reports whether the refusal is for want of a profile, which
// says less than what is wrong with the targets.
func isPolicyReason(r Reason) bool {
	return r == NoProfile || r == ProfileUnknown || r == ProfileNotMatching
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// refuseAll refuses every target for one reason.
func (d *Decision) refuseAll(a alert.Alert, r Refusal) {
	for _, t := range a.Targets {
		r.Target = t.Given
		d.Refused = append(d.Refused, r)
	}
	if len(a.Targets) == 0 {
		d.Refused = append(d.Refused, r)
	}
}

// refuseMalformed refuses the whole alert for a target that Azure would not
// write: somebody else did, and may have written the others too.
func (d *Decision) refuseMalformed(a alert.Alert) {
	for _, t := range a.Targets {
		message := "another target of this alert is malformed, so the alert is not trusted"
		if malformed(t) {
			message = fmt.Sprintf("%s: %v", t.Source, t.Err)
		}
		d.Refused = append(d.Refused, Refusal{t.Given, TargetInvalid, message})
	}
}

// plan judges each target by itself.
func (p *Policy) plan(d *Decision, a alert.Alert, profile *Profile, dry bool) {
	filters, refusal := profile.Capture.fill(a)
	var plans []Plan
	for _, t := range a.Targets {
		refuse := func(r Refusal) {
			r.Target = t.Given
			d.Refused = append(d.Refused, r)
		}
		plan := p.newPlan(profile, filters)
		switch r := p.aim(&plan, t, profile); {
		case r != nil:
			refuse(*r)
		case refusal != nil:
			refuse(*refusal)
		case plan.Lookup != "" && dry:
			refuse(Refusal{Reason: NeedsLookup, Message: fmt.Sprintf("needs a lookup: %s gives %s; the machine is looked up in Azure when the capture starts, and then checked against the scope", t.Source, lookupWords[plan.Lookup])})
		default:
			if len(plan.Only) > plan.Instances {
				d.Warnings = append(d.Warnings, fmt.Sprintf("the alert names %d instances of %s, profile %s allows %d", len(plan.Only), t.ID.Name(), profile.Name, plan.Instances))
			}
			plans = append(plans, plan)
		}
	}
	if len(plans) > 0 {
		plans = append(plans, p.compareWith(profile, filters, plans)...)
	}
	if profile.Approval.Mode != Required {
		d.Allowed = plans
		return
	}
	d.Awaiting = plans
	for _, plan := range plans {
		d.Refused = append(d.Refused, Refusal{plan.Given, AwaitingApproval, fmt.Sprintf("profile %s needs an approval each time; ask %s", profile.Name, profile.Approval.Owner)})
	}
}

var lookupWords = map[Lookup]string{ByName: "only a computer's name", ByNetworkInterface: "only its network interface"}

func (p *Policy) newPlan(profile *Profile, filters []Filter) Plan {
	return Plan{
		Role:           RoleTarget,
		Instances:      1,
		Filters:        filters,
		TimeLimit:      profile.Capture.TimeLimit,
		TotalBytes:     profile.Capture.TotalBytes,
		BytesPerPacket: profile.Capture.BytesPerPacket,
		Retention:      profile.Retention,
		Approval:       profile.Approval,
	}
}

// aim points the plan at a target, or says why it may not be captured.
func (p *Policy) aim(plan *Plan, t alert.Target, profile *Profile) *Refusal {
	plan.Target, plan.TargetType, plan.Name = t.ID, AzureVM, t.Name
	plan.Given, plan.Source = t.Given, t.Source
	switch t.Type {
	case alert.ScaleSet:
		plan.TargetType, plan.Only, plan.Instances = AzureVMSS, t.Instances, profile.Capture.Instances
	case alert.NetworkInterface:
		plan.Lookup = ByNetworkInterface
	case alert.ComputerName:
		plan.Lookup = ByName
	case alert.VM:
	default:
		return &Refusal{Reason: NotAMachine, Message: t.Source + " names no virtual machine or scale set here"}
	}
	if types := profile.When.TargetTypes; len(types) > 0 && !slices.Contains(types, whenType(t)) {
		return &Refusal{Reason: TargetTypeExcluded, Message: fmt.Sprintf("is a %s, and profile %s is for %s", whenType(t), profile.Name, strings.Join(types, ", "))}
	}
	if !t.ID.IsZero() {
		if r := p.checkScope(t.ID); r != nil {
			return r
		}
	}
	plan.CheckedAtStart = p.checkedAtStart(*plan)
	return nil
}

// whenType is what when.targetType calls a target. What has to be looked up is
// a machine by itself: instances of scale sets have neither names nor network
// interfaces of their own to alert on.
func whenType(t alert.Target) string {
	if t.Type == alert.ScaleSet {
		return "vmss"
	}
	return "vm"
}

// compareWith plans the healthy side, once for the alert.
func (p *Policy) compareWith(profile *Profile, filters []Filter, targets []Plan) []Plan {
	var plans []Plan
	for _, id := range profile.Capture.CompareWith {
		if slices.ContainsFunc(targets, func(t Plan) bool { return t.Target.Equal(id) }) {
			continue
		}
		plan := p.newPlan(profile, filters)
		plan.Role, plan.Target, plan.TargetType = RoleCompareWith, id, AzureVM
		plan.Given, plan.Source = id.String(), "compareWith"
		if id.Is(resourceid.TypeScaleSet) {
			plan.TargetType, plan.Instances = AzureVMSS, profile.Capture.Instances
		}
		plan.CheckedAtStart = p.checkedAtStart(plan)
		plans = append(plans, plan)
	}
	return plans
}

// checkedAtStart says in words what Decide cannot know.
func (p *Policy) checkedAtStart(plan Plan) []string {
	var checks []string
	if p.Alerts.Reread {
		checks = append(checks, "alert: Azure Monitor raised it, by this rule and about this machine")
	}
	if plan.Lookup != "" {
		checks = append(checks, "lookup: the machine is found, once, and in scope")
	}
	checks = append(checks, p.Scope.tagChecks()...)
	checks = append(checks,
		"region: the machine's has a Network Watcher",
		"landing: the machine is in "+strings.Join(p.Regions(), " or ")+", where captures can land",
		"power state: running",
		"agent: the Network Watcher extension is installed",
	)
	if plan.TargetType == AzureVMSS {
		instances := fmt.Sprintf("instances: at most %d that run and have the agent", plan.Instances)
		if len(plan.Only) > 0 {
			instances += fmt.Sprintf(", of the %d the alert names", len(plan.Only))
		}
		checks = append(checks, instances)
	}
	return append(checks, fmt.Sprintf("budgets: at most %d captures on the machine at once, %d starts an hour", p.Limits.ActivePerVM, p.Limits.StartsPerHour))
}

// fill makes the filters of a capture. Only addresses come from the alert, and
// only inside the network that the file sets.
func (c *Capture) fill(a alert.Alert) ([]Filter, *Refusal) {
	var filters []Filter
	add := func(f Filter) {
		if !slices.Contains(filters, f) {
			filters = append(filters, f)
		}
	}
	for _, rule := range c.Filters {
		local, refusal := rule.values(a, rule.LocalPlaceholder, rule.LocalIP)
		if refusal != nil {
			return nil, refusal
		}
		remote, refusal := rule.values(a, rule.RemotePlaceholder, rule.RemoteIP)
		if refusal != nil {
			return nil, refusal
		}
		if len(filters)+len(local)*len(remote) > MaxFilters {
			return nil, &Refusal{Reason: TooManyFilters, Message: fmt.Sprintf("the alert's addresses make more than %d filters; narrow the rule", MaxFilters)}
		}
		for _, l := range local {
			for _, r := range remote {
				f := rule.Filter
				f.LocalIP, f.RemoteIP = l, r
				add(f)
			}
		}
	}
	return filters, nil
}

// values returns the addresses that stand for a placeholder, or the file's own.
func (r FilterRule) values(a alert.Alert, placeholder, plain string) ([]string, *Refusal) {
	if placeholder == "" {
		return []string{plain}, nil
	}
	values := a.Values(placeholder)
	if len(values) == 0 {
		return nil, &Refusal{Reason: PlaceholderMissing, Message: fmt.Sprintf("the alert has no dimension %s, which a filter of the profile needs; let the rule split by it", placeholder)}
	}
	for _, v := range values {
		address, err := netip.ParseAddr(v)
		switch {
		case err != nil || !address.Is4() || address.String() != v:
			return nil, &Refusal{Reason: PlaceholderInvalid, Message: fmt.Sprintf("dimension %s is %+.40q, not one IPv4 address", placeholder, v)}
		case !r.Within.Contains(address):
			return nil, &Refusal{Reason: PlaceholderInvalid, Message: fmt.Sprintf("dimension %s is %s, outside %s", placeholder, address, r.Within)}
		}
	}
	return values, nil
}
