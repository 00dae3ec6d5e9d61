package capture

import (
	"context"
	"fmt"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// split makes the machines of a flexible scale set cases of their own.
func (s *Starter) split(ctx context.Context, c Case, m Machine) (Case, error) {
	chosen, why := choose(m.Instances, c.NamedInstances, max(1, c.MaxInstances))
	if len(chosen) == 0 {
		return s.decline(ctx, c, why)
	}
	now := s.Now().UTC()
	var ids []string
	var children []Case
	for _, in := range chosen {
		id, err := resourceid.Parse(in.ID)
		if err != nil {
			return s.decline(ctx, c, "the scale set lists a machine whose ID can't be read: "+err.Error())
		}
		if refused := s.Policy.CheckTarget(id); refused != nil {
			return s.decline(ctx, c, fmt.Sprintf("machine %s of the scale set: %s", id.Name(), refused.Message))
		}
		child := c
		child.Target, child.TargetType, child.Sought, child.SoughtBy = id.String(), AzureVM, "", ""
		child.MaxInstances, child.NamedInstances = 0, nil
		child.ID = Name(c.Incident, child.Target, c.Profile)
		child.History = nil
		child.Note(now, "asked for as a machine of scale set %s", c.Target)
		if _, _, err := s.Ledger.Open(ctx, child); err != nil {
			return c, fmt.Errorf("record case %s: %w", child.ID, err)
		}
		ids, children = append(ids, child.ID), append(children, child)
	}
	i, err := s.Ledger.ChangeIncident(ctx, c.Incident, func(i *Incident) error {
		i.Cases = union(i.Cases, ids)
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("record the machines of incident %s: %w", c.Incident, err)
	}
	if err := s.overtaken(ctx, i, children); err != nil {
		return c, err
	}
	return s.settle(ctx, c, Joined, "its machines are captured on by themselves: "+why)
}

func union(a, b []string) []string {
	seen := map[string]bool{}
	var all []string
	for _, list := range [][]string{a, b} {
		for _, v := range list {
			if !seen[v] {
				seen[v] = true
				all = append(all, v)
			}
		}
	}
	return all
}

// joined ends a case whose machine is captured on for the same profile.
func (s *Starter) joined(ctx context.Context, c Case, to CaseRef) (Case, error) {
	now := s.Now().UTC()
	c, err := s.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		if c.State != Asked {
			return ledger.ErrUnchanged
		}
		c.State, c.JoinedTo = Joined, &to
		c.Reason = fmt.Sprintf("capture %s of incident %s runs on the machine for the same profile", to.Case, to.Incident)
		c.Note(now, "joined: %s", c.Reason)
		return nil
	})
	if err != nil {
		return c, err
	}
	s.Log.InfoContext(ctx, "alert joined a capture", "incident", c.Incident, "capture", to.Case, "target", c.Target)
	if !c.Alert.Resolved.IsZero() { // meanwhile
		_, err = s.over(ctx, to, c.Alert.ID, c.Alert.Resolved)
	}
	return c, err
}
