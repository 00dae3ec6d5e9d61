// Package sweepcaptures is the function that finishes, stops and deletes
// packet captures.
package sweepcaptures

import (
	"context"
	"log/slog"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
)

// Name is the function's folder, path and name in telemetry.
const Name = "sweepcaptures"

// New returns the function. A sweep that comes late does all that the missed
// ones would have done, so it does not matter which tick it is.
func New(s *capture.Sweeper, log *slog.Logger) customhandler.Function {
	return customhandler.Timer(Name, func(ctx context.Context, t customhandler.Tick) error {
		totals, err := s.Sweep(ctx)
		if len(totals) > 0 || err != nil {
			log.InfoContext(ctx, "sweep done", "late", t.PastDue, "cases", totals)
		}
		return err
	})
}
