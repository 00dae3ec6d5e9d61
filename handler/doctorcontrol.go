package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/config"
	"github.com/pcapwarden/pcapwarden/internal/doctor"
)

// The custom roles, as infra/ names them.
const (
	operatorRole = "PCAP Capture Operator"
	targetRole   = "PCAP Target Reader"
	landingRole  = "PCAP Landing Grant"
	subReader    = "PCAP Subscription Reader"
	contextRole  = "PCAP Context Reader"
	addressRole  = "PCAP Address Reader"
)

// permissions asks what the identity may do at a scope.
type permissions = func(ctx context.Context, scope string) (allow func(action string) bool, err error)

// azure looks at what of Azure Resource Manager the app's part needs.
func (p *patient) azure() (checks []doctor.Check) {
	if p.policy == nil || p.cred == nil {
		return nil
	}
	watcher, err := arm.NewWatcher(p.cred, arm.Options{Endpoint: p.cfg.ARMEndpoint, ApplicationID: "pcapwarden"})
	if err != nil {
		return []doctor.Check{{Name: "azure", Look: func(context.Context) []doctor.Line {
			return []doctor.Line{doctor.Bad("PCAPWARDEN_ARM_ENDPOINT", err, "correct the setting")}
		}}}
	}
	permitted := func(ctx context.Context, scope string) (func(string) bool, error) {
		all, err := watcher.Permissions(ctx, scope)
		return all.Allow, err
	}
	if p.cfg.Mode.Does(config.Control) {
		checks = p.control(watcher, permitted)
	}
	if p.cfg.Mode.Does(config.Analyze) && p.cfg.Context {
		checks = append(checks, p.context(permitted)...)
	}
	return checks
}

// context looks at the rights to ask what the network's rules say.
func (p *patient) context(permitted permissions) (checks []doctor.Check) {
	const why = "findings come without what the network's rules say (PCAPWARDEN_CONTEXT)"
	onGroups := slices.DeleteFunc(arm.ContextActions(), func(a string) bool { return strings.HasPrefix(a, "Microsoft.Network/networkWatchers/") })
	for _, sub := range p.policy.Scope.Subscriptions {
		checks = append(checks, doctor.Rights(doctor.Scope{ID: "/subscriptions/" + sub, Actions: arm.ContextSubscriptionActions(), Role: addressRole, Why: why}, permitted))
		for _, group := range p.policy.Scope.ResourceGroups {
			checks = append(checks, doctor.Rights(doctor.Scope{
				ID: "/subscriptions/" + sub + "/resourceGroups/" + group, Actions: onGroups, Role: contextRole, Why: why,
			}, permitted))
		}
	}
	return checks
}

// control looks at what it takes to capture: watchers, rights, landing
// accounts, a machine.
func (p *patient) control(watcher *arm.Watcher, permitted permissions) (checks []doctor.Check) {
	for _, sub := range p.policy.Scope.Subscriptions {
		checks = append(checks,
			doctor.Check{Name: "watcher", Look: func(ctx context.Context) []doctor.Line { return p.watchers(ctx, watcher, permitted, sub) }},
			doctor.Check{Name: "captures", Look: func(ctx context.Context) []doctor.Line { return sessions(ctx, watcher, sub) }},
		)
		checks = append(checks, doctor.Rights(doctor.Scope{
			ID: "/subscriptions/" + sub, Actions: arm.SubscriptionActions(), Role: subReader, Why: "what Azure goes on with is not seen to end, and alerts are not read again",
		}, permitted))
		for _, group := range p.policy.Scope.ResourceGroups {
			checks = append(checks, doctor.Rights(doctor.Scope{
				ID: "/subscriptions/" + sub + "/resourceGroups/" + group, Actions: arm.TargetActions(), Role: targetRole, Why: "a machine can't be looked at before its capture",
			}, permitted))
		}
	}
	for _, region := range p.policy.Regions() {
		id := p.policy.Landing[region]
		checks = append(checks,
			doctor.Check{Name: "landing", Look: func(ctx context.Context) []doctor.Line {
				a, err := watcher.Account(ctx, id.String())
				if err != nil {
					return []doctor.Line{azureTrouble(id.Name(), err, landingRole)}
				}
				if why := a.Unfit(id.Name(), region); why != "" {
					return []doctor.Line{doctor.Bad(id.Name(), errors.New("captures can't be stored there"), "%s", why)}
				}
				return []doctor.Line{doctor.Good(id.Name(), "takes the captures of %s", region)}
			}},
			doctor.Rights(doctor.Scope{
				ID: id.String(), Actions: arm.LandingActions(), Role: landingRole, Why: "Network Watcher can't store captures there in the app's name",
			}, permitted))
	}
	if p.vm != "" {
		checks = append(checks, doctor.Check{Name: "machine", Look: func(ctx context.Context) []doctor.Line { return p.machine(ctx, watcher) }})
	}
	return checks
}

// watchers looks whether every landing region has a Network Watcher, and what
// the identity may do on each.
func (p *patient) watchers(ctx context.Context, w *arm.Watcher, permitted permissions, sub string) []doctor.Line {
	ids, err := w.Watchers(ctx, sub)
	if err != nil {
		return []doctor.Line{azureTrouble(sub, err, operatorRole)}
	}
	var lines []doctor.Line
	for _, region := range p.policy.Regions() {
		id, ok := ids[region]
		if !ok {
			lines = append(lines, doctor.Bad(region, fmt.Errorf("subscription %s has no Network Watcher there", sub),
				"enable it: az network watcher configure --locations %s --enabled true --resource-group NetworkWatcherRG", region))
			continue
		}
		lines = append(lines, doctor.Good(region, "%s", id))
		lines = append(lines, doctor.Run(ctx, []doctor.Check{doctor.Rights(doctor.Scope{
			ID: id, Actions: arm.OperatorActions(), Role: operatorRole, Why: "captures can't be started, stopped or deleted",
		}, permitted)}, time.Minute)...)
	}
	return lines
}

// sessions lists what runs, as every sweep does.
func sessions(ctx context.Context, w *arm.Watcher, sub string) []doctor.Line {
	all, err := w.List(ctx, sub)
	if err != nil {
		return []doctor.Line{azureTrouble(sub, err, operatorRole)}
	}
	return []doctor.Line{doctor.Good(sub, "%d packet captures are listed", len(all))}
}

// machine says whether something could be captured on the machine.
func (p *patient) machine(ctx context.Context, w *arm.Watcher) []doctor.Line {
	s := &capture.Starter{Watcher: w, Directory: w, Policy: p.policy}
	m, why, err := s.Fit(ctx, p.vm)
	switch {
	case err != nil:
		return []doctor.Line{azureTrouble(p.vm, err, targetRole)}
	case why != "":
		return []doctor.Line{doctor.Bad(p.vm, errors.New("nothing can be captured on it"), "%s", why)}
	}
	agent := m.Agent.Type
	if m.Type == capture.AzureVMSS {
		agent = fmt.Sprintf("%d instances", len(m.Instances))
	}
	return []doctor.Line{doctor.Good(p.vm, "it can be captured on: %s, %s", m.Region, agent)}
}

// azureTrouble is a line about what Azure Resource Manager did not answer.
func azureTrouble(subject string, err error, role string) doctor.Line {
	if denied, ok := errors.AsType[*capture.DeniedError](err); ok {
		return doctor.Line{
			Subject: denied.Action, Status: doctor.Wrong, What: fmt.Sprintf("missing on %s: %v", subject, denied.Err),
			Do: fmt.Sprintf("assign the role %q to the app's identity, and wait some minutes", role),
		}
	}
	if errors.Is(err, capture.ErrNotFound) {
		return doctor.Bad(subject, errors.New("it does not exist, or the identity may not see it"), "correct the policy, or assign the role %q", role)
	}
	if throttled, ok := errors.AsType[*capture.ThrottledError](err); ok {
		return doctor.Line{Subject: subject, Status: doctor.Unknown, What: throttled.Error(), Do: "ask again later"}
	}
	return doctor.Bad(subject, err, "can the app reach Azure Resource Manager, and is PCAPWARDEN_ARM_ENDPOINT right?")
}
