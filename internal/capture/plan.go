package capture

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

func ref(a *alert.Alert) AlertRef {
	return AlertRef{
		ID: a.ID, Rule: a.Rule, Severity: a.Severity, Fired: a.Fired.UTC(),
		WindowStart: a.WindowStart, WindowEnd: a.WindowEnd,
	}
}

func newCase(i Incident, p policy.Plan, profile, hash string, now time.Time) Case {
	c := Case{
		Schema: CaseSchema, Incident: i.ID, State: Asked,
		Alert: i.Alert, Profile: profile, Role: string(p.Role), PolicyHash: hash,
		Approval: Approval{
			Mode: string(p.Approval.Mode), Reason: p.Approval.Reason, Owner: p.Approval.Owner,
			Approver: p.Approval.Approver, Expires: p.Approval.Expires,
		},
		Target: p.Target.String(), TargetType: p.TargetType, MaxInstances: p.Instances, NamedInstances: p.Only,
		Filters: slices.Clone(p.Filters), TimeLimit: p.TimeLimit, TotalBytes: p.TotalBytes, BytesPerPacket: p.BytesPerPacket,
		Retention: p.Retention, Asked: now, DeleteAfter: now.Add(p.Retention),
	}
	if p.Lookup != "" {
		c.Target, c.SoughtBy, c.Sought = "", p.Lookup, cmp.Or(p.Name, p.Target.String())
	}
	c.ID = Name(i.ID, cmp.Or(c.Target, string(c.SoughtBy)+" "+c.Sought), profile)
	c.Note(now, "asked for by alert rule %q, profile %s", i.Alert.Rule, profile)
	return c
}

func (c Case) spec() Spec {
	return Spec{
		Name: c.ID, Target: c.Target, TargetType: c.TargetType, Instances: c.Instances, Region: c.Region,
		StorageID: c.StorageID, Filters: c.Filters, TimeLimit: c.TimeLimit, TotalBytes: c.TotalBytes, BytesPerPacket: c.BytesPerPacket,
	}
}

// subscription is the subscription that a case is in, as far as it is known:
// that of its machine, or of what leads to it.
func (c Case) subscription() string {
	return cmp.Or(subscription(c.Target), subscription(c.Sought))
}

// subscription is the subscription of a resource ID that was parsed before.
func subscription(id string) string {
	if parts := strings.Split(id, "/"); len(parts) > 2 {
		return strings.ToLower(parts[2])
	}
	return ""
}
