package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// Fit says what Azure tells of a machine, and why nothing could be captured on
// it now; an empty reason says that something could. It starts nothing.
func (s *Starter) Fit(ctx context.Context, target string) (m Machine, why string, err error) {
	id, err := resourceid.Parse(target)
	if err != nil {
		return m, err.Error(), nil
	}
	if refused := s.Policy.CheckTarget(id); refused != nil {
		return m, refused.Message, nil
	}
	m, err = s.Watcher.Machine(ctx, id.String())
	if errors.Is(err, ErrNotFound) {
		return m, "there is no such machine", nil
	}
	if err != nil {
		return m, "", err
	}
	_, no, err := s.qualify(ctx, m, Case{TargetType: m.Type})
	if err != nil || no != "" {
		return m, string(no), err
	}
	if m.Type == AzureVMSS {
		if chosen, words := choose(m.Instances, nil, 1); len(chosen) == 0 {
			return m, fmt.Sprintf("none of its instances can be captured on: %s", words), nil
		}
	}
	return m, "", nil
}

// Unfit says why Network Watcher can't store captures of the region in the
// account, or nothing.
func (a Account) Unfit(name, region string) string { return string(a.unfit(name, region)) }
