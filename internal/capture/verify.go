package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// Raised is an alert as Azure Monitor itself keeps it.
type Raised struct {
	Rule      string // ARM ID of the rule, or a link to it
	Target    string // ARM ID of what it is about
	Severity  string
	Condition string // Fired or Resolved
	Fired     time.Time
}

// The reasons of alerts that are refused although the policy would allow them.
const (
	Forged     policy.Reason = "alert-forged"     // Azure Monitor knows nothing of it, or another story
	Unverified policy.Reason = "alert-unverified" // the app may not ask
)

// verify asks Azure Monitor whether it raised an alert, if the policy wants
// that: a token proves that some action group of the tenant calls, not that
// there is an alert. What Azure says takes the place of what the sender says.
// The error is worth another try; a refusal is not.
func (s *Starter) verify(ctx context.Context, a alert.Alert) (alert.Alert, *policy.Refusal, error) {
	if !s.Policy.Alerts.Reread {
		return a, nil, nil
	}
	raised, err := s.Directory.Raised(ctx, a.ID)
	if errors.Is(err, ErrNotFound) {
		return s.forged(ctx, a, "Azure Monitor has not raised it")
	}
	if denied, ok := errors.AsType[*DeniedError](err); ok {
		reason := fmt.Sprintf("alerts can't be read again: %v: give the app's identity the right, or set alerts.reread to never in the policy", denied)
		err := s.Notify(ctx, Notice{Kind: Trouble, Case: Case{Incident: "unknown"}, Title: "alerts are refused", Reason: reason})
		return a, &policy.Refusal{Reason: Unverified, Message: reason}, err
	}
	if err != nil {
		return a, nil, err
	}
	if id, err := resourceid.Parse(raised.Rule); err == nil && a.Rule != "" && !strings.EqualFold(id.Name(), a.Rule) {
		return s.forged(ctx, a, fmt.Sprintf("Azure Monitor raised it by rule %+.100q", id.Name()))
	}
	if t := elsewhere(a, raised.Target); t != "" {
		return s.forged(ctx, a, fmt.Sprintf("Azure Monitor raised it about %+.300q, not %+.300q", raised.Target, t))
	}
	if raised.Condition != string(a.Condition) {
		return a, &policy.Refusal{Reason: policy.NotFired, Message: fmt.Sprintf("the alert says that it is %s, and Azure Monitor that it is %+.20q", a.Condition, raised.Condition)}, nil
	}
	a.Severity = cmp.Or(raised.Severity, a.Severity)
	if !raised.Fired.IsZero() {
		a.Fired = raised.Fired
	}
	return a, nil, nil
}

// forged refuses an alert that is not what it says, and tells a person.
func (s *Starter) forged(ctx context.Context, a alert.Alert, why string) (alert.Alert, *policy.Refusal, error) {
	reason := fmt.Sprintf("alert %+.200q, which says that it is of rule %+.100q, is not genuine: %s; nothing is captured. Find out who may call this app: "+
		"whoever has its action group's token and knows the policy", a.ID, a.Rule, why)
	incident := IncidentID(a.ID)
	err := s.Notify(ctx, Notice{Kind: Forgery, Case: Case{Incident: incident}, Title: "forged alert", Reason: reason})
	if err == nil {
		err = s.Audit.Append(ctx, audit.Entry{
			At: s.Now().UTC(), Actor: actorSelf, Action: audit.Refuse, Phase: audit.After, Incident: incident, Reason: reason, Outcome: audit.Done,
		})
	}
	s.Log.WarnContext(ctx, "forged alert refused", "incident", incident, "reason", why)
	return a, &policy.Refusal{Reason: Forged, Message: why}, err
}

// elsewhere returns a machine that the alert names although Azure says that it
// is about another; "" if there is none. An alert on logs is about a
// workspace, and names its machines in its dimensions: of those nothing is
// known.
func elsewhere(a alert.Alert, raised string) string {
	about, err := resourceid.Parse(raised)
	if err != nil || !about.Is(resourceid.TypeVM) && !about.Is(resourceid.TypeScaleSet) && !about.Is(resourceid.TypeNetworkInterface) {
		return ""
	}
	for _, t := range a.Targets {
		if t.ID.IsZero() || t.Type != alert.VM && t.Type != alert.ScaleSet && t.Type != alert.NetworkInterface {
			continue
		}
		if key := t.ID.Key(); key != about.Key() && !strings.HasPrefix(key, about.Key()+"/") && !strings.HasPrefix(about.Key(), key+"/") {
			return t.ID.String()
		}
	}
	return ""
}
