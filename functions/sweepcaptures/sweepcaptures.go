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
			line := []any{"late", t.PastDue, "cases", totals}
			// The log is elsewhere than the records: a head that it has can't
			// be cut off there without a trace.
			if n, hash, err := s.Starter.Audit.Head(ctx); err == nil && n > 0 {
				line = append(line, "audit_segments", n, "audit_head", hash)
			}
			log.InfoContext(ctx, "sweep done", line...)
		}
		return err
	})
}
