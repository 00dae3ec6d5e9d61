//go:build !linux

package agent

import (
	"context"
	"errors"
	"fmt"
)

// Tap fails: capturing is for Linux.
func (i Interface) Tap(context.Context) (Tap, error) {
	return nil, fmt.Errorf("capture on %q: %w", i.Name, errors.ErrUnsupported)
}
