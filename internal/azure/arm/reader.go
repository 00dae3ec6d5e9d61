package arm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
)

// A Reader answers questions about the rules of the network: it implements
// [controlplane.Source] with Network Watcher's diagnostics and the network's
// resources. It changes nothing, although Azure wants a POST for most of it.
//
// Unlike a Watcher it does wait for long-running operations, as long as the
// context allows: Azure takes some ten seconds for an answer.
type Reader struct{ watcher *Watcher }

// NewReader returns a Reader that signs in as w does.
func NewReader(w *Watcher) *Reader { return &Reader{watcher: w} }

var _ controlplane.Source = (*Reader)(nil)

// pollEvery is how often an operation is asked for where Azure does not say.
const pollEvery = 2 * time.Second

// await waits for the result of an operation. Azure sends it with the 202
// already for some of them: then there is nothing to wait for.
func await[T any](ctx context.Context, action string, begin func(context.Context) (*runtime.Poller[T], error), whole func(T) bool) (T, error) {
	var raw *http.Response
	poller, err := begin(policy.WithCaptureResponse(ctx, &raw))
	if err != nil {
		var zero T
		return zero, notAnswered(action, err)
	}
	if !poller.Done() && raw != nil {
		if body, err := runtime.Payload(raw); err == nil {
			var early T
			if json.Unmarshal(body, &early) == nil && whole(early) {
				return early, nil
			}
		}
	}
	result, err := poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: pollEvery})
	if err != nil {
		return result, notAnswered(action, err)
	}
	if !whole(result) {
		return result, fmt.Errorf("%s: the answer is empty", action)
	}
	return result, nil
}

// notAnswered turns what an SDK call returned into the errors that
// [controlplane.Source] promises.
func notAnswered(action string, err error) error {
	err = classify(action, err)
	if _, throttled := errors.AsType[*capture.ThrottledError](err); throttled {
		return fmt.Errorf("%w: %w", controlplane.ErrThrottled, err)
	}
	if answer, ok := errors.AsType[*Error](err); ok && (answer.Status == http.StatusForbidden || answer.Status == http.StatusUnauthorized) {
		return fmt.Errorf("%w: %w", controlplane.ErrDenied, err)
	}
	return err
}

// Access implements [controlplane.Source]: IP flow verify for virtual
// machines, NSG diagnostics for what that does not know.
// https://learn.microsoft.com/azure/network-watcher/ip-flow-verify-overview
func (r *Reader) Access(ctx context.Context, q controlplane.Question) (controlplane.Access, error) {
	c, at, err := r.at(ctx, q.Subject)
	if err != nil {
		return controlplane.Access{}, err
	}
	if q.ScaleSet || q.Protocol == "icmp" {
		return c.diagnose(ctx, at, q)
	}
	p := armnetwork.VerificationIPFlowParameters{
		TargetResourceID: &q.ID,
		Direction:        new(armnetwork.Direction(q.Direction)),
		Protocol:         new(armnetwork.IPFlowProtocol(strings.ToUpper(q.Protocol))),
		LocalIPAddress:   new(q.Local.Addr().String()), LocalPort: new(port(q.Local)),
		RemoteIPAddress: new(q.Remote.Addr().String()), RemotePort: new(port(q.Remote)),
	}
	if q.Interface.ID != "" {
		p.TargetNicResourceID = &q.Interface.ID
	}
	found, err := await(ctx, VerifyFlows, func(ctx context.Context) (*runtime.Poller[armnetwork.WatchersClientVerifyIPFlowResponse], error) {
		return c.watchers.BeginVerifyIPFlow(ctx, at.group, at.name, p, nil)
	}, func(a armnetwork.WatchersClientVerifyIPFlowResponse) bool { return a.Access != nil })
	if err != nil {
		return controlplane.Access{}, err
	}
	return controlplane.Access{
		Allowed: strings.EqualFold(string(*found.Access), string(armnetwork.AccessAllow)),
		Rule:    ruleName(deref(found.RuleName)), By: controlplane.FlowVerify,
	}, nil
}

// diagnose asks NSG diagnostics, which knows network interfaces of scale sets.
// https://learn.microsoft.com/azure/network-watcher/nsg-diagnostics-overview
func (c *clients) diagnose(ctx context.Context, at place, q controlplane.Question) (controlplane.Access, error) {
	if q.Interface.ID == "" {
		return controlplane.Access{}, fmt.Errorf("%w: the network interface is not known", controlplane.ErrUnsupported)
	}
	from, to := q.Local, q.Remote
	if q.Direction == controlplane.Inbound {
		from, to = to, from
	}
	p := armnetwork.ConfigurationDiagnosticParameters{
		TargetResourceID: &q.Interface.ID,
		Profiles: []*armnetwork.ConfigurationDiagnosticProfile{{
			Direction: new(armnetwork.Direction(q.Direction)), Protocol: new(strings.ToUpper(q.Protocol)),
			Source: new(from.Addr().String()), Destination: new(to.Addr().String()), DestinationPort: new(port(to)),
		}},
	}
	found, err := await(ctx, DiagnoseFlows, func(ctx context.Context) (*runtime.Poller[armnetwork.WatchersClientGetNetworkConfigurationDiagnosticResponse], error) {
		return c.watchers.BeginGetNetworkConfigurationDiagnostic(ctx, at.group, at.name, p, nil)
	}, func(a armnetwork.WatchersClientGetNetworkConfigurationDiagnosticResponse) bool {
		return len(a.Results) > 0 && a.Results[0] != nil && a.Results[0].NetworkSecurityGroupResult != nil && a.Results[0].NetworkSecurityGroupResult.SecurityRuleAccessResult != nil
	})
	if err != nil {
		return controlplane.Access{}, err
	}
	result := found.Results[0].NetworkSecurityGroupResult
	a := controlplane.Access{Allowed: strings.EqualFold(string(*result.SecurityRuleAccessResult), "Allow"), By: controlplane.Diagnostics}
	for _, g := range result.EvaluatedNetworkSecurityGroups {
		if g == nil || g.MatchedRule == nil {
			continue
		}
		// Every group has to allow a flow, and one that denies it is enough.
		a.Rule, a.Group = ruleName(deref(g.MatchedRule.RuleName)), deref(g.NetworkSecurityGroupID)
		if strings.EqualFold(deref(g.MatchedRule.Action), "Deny") {
			break
		}
	}
	return a, nil
}

// NextHop implements [controlplane.Source].
// https://learn.microsoft.com/azure/network-watcher/next-hop-overview
func (r *Reader) NextHop(ctx context.Context, q controlplane.Question) (controlplane.Hop, error) {
	if q.ScaleSet {
		return controlplane.Hop{}, fmt.Errorf("%w: next hop is for virtual machines, not for scale sets", controlplane.ErrUnsupported)
	}
	c, at, err := r.at(ctx, q.Subject)
	if err != nil {
		return controlplane.Hop{}, err
	}
	p := armnetwork.NextHopParameters{
		TargetResourceID: &q.ID, SourceIPAddress: new(q.Local.Addr().String()), DestinationIPAddress: new(q.Remote.Addr().String()),
	}
	if q.Interface.ID != "" {
		p.TargetNicResourceID = &q.Interface.ID
	}
	found, err := await(ctx, AskNextHops, func(ctx context.Context) (*runtime.Poller[armnetwork.WatchersClientGetNextHopResponse], error) {
		return c.watchers.BeginGetNextHop(ctx, at.group, at.name, p, nil)
	}, func(a armnetwork.WatchersClientGetNextHopResponse) bool { return a.NextHopType != nil })
	if err != nil {
		return controlplane.Hop{}, err
	}
	h := controlplane.Hop{Type: string(*found.NextHopType), RouteTable: deref(found.RouteTableID)}
	if a, err := netip.ParseAddr(deref(found.NextHopIPAddress)); err == nil {
		h.Address = a
	}
	return h, nil
}

// at returns the clients and the network watcher for a machine.
func (r *Reader) at(ctx context.Context, s controlplane.Subject) (*clients, place, error) {
	id, c, err := r.watcher.clientsOf(s.ID)
	if err != nil {
		return nil, place{}, err
	}
	at, err := r.watcher.place(ctx, id.SubscriptionID, s.Region)
	if err != nil {
		return nil, place{}, notAnswered(ReadWatchers, err)
	}
	return c, at, nil
}

// port writes a port as Network Watcher wants it; a source may be any.
func port(a netip.AddrPort) string {
	if a.Port() == 0 {
		return "*"
	}
	return strconv.Itoa(int(a.Port()))
}

// ruleName takes off what Azure puts in front of the names of rules.
func ruleName(s string) string {
	for _, prefix := range []string{"securityRules/", "defaultSecurityRules/", "UserRule_", "DefaultRule_"} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			return rest
		}
	}
	return s
}
