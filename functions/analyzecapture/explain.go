package analyzecapture

import (
	"context"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
)

// explain asks what the rules of the network say about the deciding flows, and
// tells the analysis. It takes bounded time and does not fail: findings come
// with what could be learnt, and say what could not.
func (a *Analyzer) explain(ctx context.Context, c capture.Case, e *examined) {
	found := e.analysis
	if a.Rules == nil || !found.Capture.Readable {
		return
	}
	found.Explain(controlplane.Ask(ctx, a.Rules, controlplane.Inquiry{
		Subject: subject(c), Seen: found.Deciding(), Addresses: found.Addresses(), Now: a.Now,
	}))
	e.file.Cause, e.file.Culprit = string(found.Verdict.Cause), string(found.Verdict.Culprit)
}

// subject is the captured machine as the case has it.
func subject(c capture.Case) controlplane.Subject {
	s := controlplane.Subject{ID: c.Target, ScaleSet: c.TargetType == capture.AzureVMSS, Region: c.Region, Instances: c.Instances}
	for _, text := range c.Addresses {
		if addr, err := netip.ParseAddr(text); err == nil {
			s.Addresses = append(s.Addresses, addr)
		}
	}
	return s
}
