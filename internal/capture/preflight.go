package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// A Directory looks up what leads to a machine, and where captures land.
type Directory interface {
	// Raised returns an alert by its ID as Azure Monitor keeps it: ErrNotFound
	// where it raised none.
	Raised(ctx context.Context, alertID string) (Raised, error)
	// InterfaceVM returns the ARM ID of the machine that a network interface
	// belongs to: ErrNotFound.
	InterfaceVM(ctx context.Context, networkInterface string) (string, error)
	// LookupVM returns the ARM ID of the one machine of that name in the
	// resource groups: ErrNotFound, and a *DeniedError for several.
	LookupVM(ctx context.Context, subscription string, resourceGroups []string, name string) (string, error)
	// Account describes a storage account: ErrNotFound.
	Account(ctx context.Context, id string) (Account, error)
}

// An Account is a storage account as Network Watcher sees it.
type Account struct {
	Region    string // lower case, without spaces
	Premium   bool
	SharedKey bool // account keys are allowed
}

// A blocker is why there will be no capture, in words that say what to do.
type blocker string

// find turns what the alert named into a machine's ID. What was found goes
// through the policy's scope like a target that the alert names itself.
func (s *Starter) find(ctx context.Context, c Case) (target string, _ blocker, _ error) {
	var found []string
	var ambiguous string
	look := func(id string, err error) error {
		denied, _ := errors.AsType[*DeniedError](err)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case denied != nil && strings.Contains(denied.Err.Error(), "ambiguous"):
			ambiguous = denied.Err.Error()
			return nil
		case err != nil:
			return err
		}
		found = append(found, id)
		return nil
	}
	switch c.SoughtBy {
	case policy.ByNetworkInterface:
		if err := look(s.Directory.InterfaceVM(ctx, c.Sought)); err != nil {
			return "", "", err
		}
	case policy.ByName:
		for _, sub := range s.Policy.Scope.Subscriptions {
			if err := look(s.Directory.LookupVM(ctx, sub, s.Policy.Scope.ResourceGroups, c.Sought)); err != nil {
				return "", "", err
			}
		}
	}
	switch {
	case ambiguous != "":
		return "", blocker(ambiguous + ": let the alert rule split by _ResourceId"), nil
	case len(found) > 1:
		return "", blocker(fmt.Sprintf("%q is ambiguous: it is %s; let the alert rule split by _ResourceId", c.Sought, strings.Join(found, " and "))), nil
	case len(found) == 0 && c.SoughtBy == policy.ByNetworkInterface:
		return "", blocker(fmt.Sprintf("the network interface %q belongs to no machine", c.Sought)), nil
	case len(found) == 0:
		return "", blocker(fmt.Sprintf("no machine in the policy's scope is called %q", c.Sought)), nil
	}
	id, err := resourceid.Parse(found[0])
	if err != nil {
		return "", blocker(fmt.Sprintf("%q leads to what is no machine: %v", c.Sought, err)), nil
	}
	if refused := s.Policy.CheckTarget(id); refused != nil {
		return "", blocker(fmt.Sprintf("%q is %s, and %s", c.Sought, id, refused.Message)), nil
	}
	return id.String(), "", nil
}

// qualify says why a machine cannot be captured on, or else where its
// captures land.
func (s *Starter) qualify(ctx context.Context, m Machine, c Case) (storageID string, _ blocker, _ error) {
	landing, refusal := s.Policy.CheckMachine(m.Tags, m.Region)
	switch {
	case refusal != nil:
		return "", blocker(refusal.Message), nil
	case m.ManagedBy != "":
		return "", blocker(fmt.Sprintf("the machine is managed by %s, which does not allow the Network Watcher agent; on AKS use Retina", m.ManagedBy)), nil
	case c.TargetType == AzureVM:
		if why := unfit(m.Power, true, m.Agent); why != "" {
			return "", blocker("the machine " + why), nil
		}
	}
	account, err := s.Directory.Account(ctx, landing.String())
	if errors.Is(err, ErrNotFound) {
		return "", blocker(fmt.Sprintf("the landing account %s does not exist: create it, or correct the policy", landing.Name())), nil
	}
	if denied, ok := errors.AsType[*DeniedError](err); ok {
		return "", blocker(fmt.Sprintf("the landing account %s may not be looked at: %v", landing.Name(), denied)), nil
	}
	if err != nil {
		return "", "", err
	}
	return landing.String(), account.unfit(landing.Name(), m.Region), nil
}

// unfit says why nothing can be captured on a machine, as the rest of a
// sentence that begins with the machine.
func unfit(power string, latest bool, a Agent) string {
	switch {
	case power != "" && power != "running":
		return fmt.Sprintf("is %s, not running: start it first", power)
	case !latest:
		return "does not have the scale set's latest model: upgrade it"
	case !a.Present:
		return "has no Network Watcher agent: install the extension of publisher Microsoft.Azure.NetworkWatcher"
	case a.ProvisioningState != "Succeeded":
		return fmt.Sprintf("has a Network Watcher agent in state %q, not Succeeded: repair the extension", a.ProvisioningState)
	}
	return ""
}

// unfit says why Network Watcher can't write captures of a region to the account.
// https://learn.microsoft.com/azure/network-watcher/packet-capture-manage
func (a Account) unfit(name, region string) blocker {
	switch {
	case a.Region != "" && policy.Region(a.Region) != policy.Region(region):
		return blocker(fmt.Sprintf("the landing account %s is in %s, and the machine in %s: Network Watcher stores in the machine's region only; correct landing in the policy", name, a.Region, region))
	case a.Premium:
		return blocker(fmt.Sprintf("the landing account %s is a premium account, which Network Watcher can't use: name a standard one", name))
	case !a.SharedKey:
		return blocker(fmt.Sprintf("the landing account %s does not allow shared keys, which Network Watcher needs: allow them on this account alone", name))
	}
	return ""
}

// choose picks the instances of a scale set to capture on: of those that the
// alert names, or else of all, the first that can be captured on.
func choose(instances []Instance, named []string, most int) (chosen []Instance, why string) {
	pool := slices.Clone(instances)
	var words []string
	if len(named) > 0 {
		pool = pool[:0]
		for _, n := range named {
			i := slices.IndexFunc(instances, func(in Instance) bool {
				return strings.EqualFold(in.ID, n) || strings.EqualFold(in.Name, n)
			})
			switch {
			case i < 0:
				words = append(words, fmt.Sprintf("%q is none of its instances", n))
			case !slices.ContainsFunc(pool, func(in Instance) bool { return in.ID == instances[i].ID }):
				pool = append(pool, instances[i])
			}
		}
	} else {
		slices.SortFunc(pool, func(a, b Instance) int {
			x, errX := strconv.Atoi(a.ID)
			y, errY := strconv.Atoi(b.ID)
			if errX != nil || errY != nil {
				return cmp.Compare(a.ID, b.ID)
			}
			return cmp.Compare(x, y)
		})
	}
	more := 0
	for _, in := range pool {
		why := unfit(in.Power, in.LatestModel, in.Agent)
		switch {
		case why != "" && len(words) < maxExcuses:
			words = append(words, "instance "+in.label()+" "+why)
		case why != "":
		case len(chosen) < most:
			chosen = append(chosen, in)
		default:
			more++
		}
	}
	if more > 0 {
		words = append(words, fmt.Sprintf("%d more would do, and the profile allows %d", more, most))
	}
	origin := fmt.Sprintf("of the %d instances", len(instances))
	if len(named) > 0 {
		origin = fmt.Sprintf("of the %d that the alert names", len(named))
	}
	var labels []string
	for _, in := range chosen {
		labels = append(labels, in.label())
	}
	text := fmt.Sprintf("%s: instance %s", origin, strings.Join(labels, ", "))
	if len(chosen) == 0 {
		text = origin + " none can be captured on"
	}
	if len(words) > 0 {
		text += "; " + strings.Join(words, "; ")
	}
	return chosen, text
}

// maxExcuses bounds how many instances a sentence explains.
const maxExcuses = 10

func (in Instance) label() string {
	if _, name, ok := strings.Cut(strings.ToLower(in.ID), "/virtualmachines/"); ok {
		return name
	}
	return in.ID
}

// flexible reports whether the instances are ordinary machines.
func (m Machine) flexible() bool {
	return m.Type == AzureVMSS && len(m.Instances) > 0 && strings.HasPrefix(m.Instances[0].ID, "/")
}
