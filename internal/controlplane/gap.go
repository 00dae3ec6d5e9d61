package controlplane

import (
	"errors"
	"slices"
)

// miss notes a question without an answer.
func (i *inquirer) miss(question, about string, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case errors.Is(err, ErrThrottled):
		i.stop = ErrThrottled
	case errors.Is(err, ErrDenied):
		if i.denied[question] {
			return // said once
		}
		i.denied[question] = true
	}
	if about != "" {
		question += " of " + about
	}
	i.gapLocked(question, err.Error())
}

func (i *inquirer) gap(question, reason string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.gapLocked(question, reason)
}

// maxReason keeps an error from filling a page.
const maxReason = 300

func (i *inquirer) gapLocked(question, reason string) {
	g := Gap{Harmless(question), Harmless(reason)}
	if len(g.Reason) > maxReason {
		g.Reason = Harmless(g.Reason[:maxReason]) + "…"
	}
	if len(i.context.Gaps) < maxGaps && !slices.Contains(i.context.Gaps, g) {
		i.context.Gaps = append(i.context.Gaps, g)
	}
}
