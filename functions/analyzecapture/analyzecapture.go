// Package analyzecapture is the function that analyses a capture file when it
// lands and puts its findings onto the incident queue.
package analyzecapture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/outbox"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// Name is the function's folder, path and name in telemetry.
const Name = "analyzecapture"

// maxEvent is the largest message that Service Bus carries to us.
const maxEvent = 1 << 20

// An Analyzer does the work of the function, with what it needs.
type Analyzer struct {
	Ledger    *capture.Ledger
	Tries     ledger.Records[Tries]
	Policy    *policy.Policy
	Landing   func(account string) (evidence.Landing, error) // by storage account
	Vault     evidence.Vault
	Reports   evidence.Vault
	Incidents incident.Queue // of what concerns no case
	Outbox    *outbox.Box
	Audit     *audit.Log
	Signer    custody.Signer
	Rules     controlplane.Source // nil: the network's rules are not asked for
	Source    string              // URI of the app, for messages
	Version   string
	Now       func() time.Time
	Log       *slog.Logger

	// Unclaimed is how long a file waits for the case that explains it: its
	// capture may have been started an instant ago.
	Unclaimed time.Duration
}

// foreign names what is told about when no case is concerned.
var foreign = incident.Origin{Incident: "unknown"}

// New returns the function. An error makes the queue deliver the event again,
// and in the end keep it among the dead letters, where a person finds it.
func New(a *Analyzer) customhandler.Function {
	return customhandler.ServiceBus(Name, customhandler.Binary, maxEvent, func(ctx context.Context, m customhandler.Message) error {
		landed, err := evidence.ParseEvents(m.Body, a.Policy.Landing)
		if e, ok := errors.AsType[*evidence.EventError](err); ok && e.Foreign {
			return errors.Join(err, a.report(ctx, foreign, "event of a foreign place", e.Message))
		}
		if err != nil {
			return err
		}
		for _, l := range landed {
			if err := a.analyze(ctx, l); err != nil {
				return err
			}
		}
		return nil
	})
}

// analyze brings one file from the landing container to a message, and its
// bytes into the vault. Each step can be done again: what is stored is stored
// under a name that follows from the case and the file's version, and the
// message's ID from the file's content.
func (a *Analyzer) analyze(ctx context.Context, l evidence.Landed) (err error) {
	c, err := a.claim(ctx, l)
	if err != nil {
		return err
	}
	ctx, span := traced(ctx, c, l.At)
	defer func() { telemetry.End(span, err) }()
	release, err := a.alone(ctx, c, l.Name)
	if err != nil {
		return fmt.Errorf("wait for the file of capture %s: %w", c.ID, err)
	}
	defer release()
	if c, err = a.Ledger.Case(ctx, c.Incident, c.ID); err != nil { // as it is by now
		return err
	}
	landing, err := a.Landing(l.Account.Name())
	if err != nil {
		return err
	}
	source, err := landing.Open(ctx, l.Name)
	if known := c.File(l.Name); known != nil {
		if unfinished := errors.Join(a.Outbox.Deliver(ctx, known.MessageID), a.summarise(ctx, c)); unfinished != nil {
			return unfinished
		}
		return a.compareVersions(ctx, c, *known, l, landing, source, err)
	}
	if errors.Is(err, evidence.ErrNotFound) {
		return customhandler.Permanent(fmt.Errorf("open file of capture %s: %w: somebody deleted it before it was read", c.ID, err))
	}
	if err != nil {
		return fmt.Errorf("open file of capture %s: %w", c.ID, err)
	}
	if source.Info().Bytes == 0 && !a.late(c) {
		// Writing it raises another event; if that is lost, the sweep finds the file.
		a.Log.InfoContext(ctx, "file is empty so far", "incident", c.Incident, "capture", c.ID)
		return nil
	}
	failpoint.Here("file-opened")
	id, err := a.examine(ctx, c, l, landing, source)
	if err != nil {
		return fmt.Errorf("analyse capture %s: %w", c.ID, err)
	}
	if err := a.Outbox.Deliver(ctx, id); err != nil {
		return err
	}
	failpoint.Here("message-dealt-with")
	return a.summarise(ctx, c)
}

// post stores the message of a file: from here on what is left to do is the
// outbox's.
func (a *Analyzer) post(ctx context.Context, c capture.Case, l evidence.Landed, f capture.File, m incident.Message, keep bool) (id string, err error) {
	err = a.Outbox.Put(ctx, outbox.Entry{Incident: c.Incident, Case: c.ID, File: f, Account: l.Account.Name(), Keep: keep, Message: m})
	failpoint.Here("message-stored")
	return m.ID, err
}

// actor is the program, in the audit log.
const actor = "pcapwarden"

// writingTime is how long after the end of its session a file may be empty:
// the agent creates it first and fills it then.
const writingTime = 2 * time.Minute

// late reports whether the case's session is over for so long that its file
// will not change any more. A sweep that searched for the file counts the time
// anew.
func (a *Analyzer) late(c capture.Case) bool {
	return c.Searches > 0 || !c.Stopped.IsZero() && a.Now().Sub(c.Stopped) > writingTime
}

// sameVersion compares ETags. Headers quote them, events need not.
func sameVersion(a, b string) bool {
	return strings.Trim(a, `"`) == strings.Trim(b, `"`)
}

// compareVersions deals with an event about a file that was sealed before: a
// repetition, one of a version from before, which came late, or one that
// somebody has written over the evidence, or where it was.
func (a *Analyzer) compareVersions(ctx context.Context, c capture.Case, known capture.File, l evidence.Landed, landing evidence.Landing, now evidence.File, err error) error {
	switch {
	case errors.Is(err, evidence.ErrNotFound), err == nil && sameVersion(known.ETag, now.Info().ETag):
		telemetry.Duplicates.Add(ctx, 1)
		a.Log.InfoContext(ctx, "file was analysed before", "incident", c.Incident, "capture", c.ID)
		return nil
	case err != nil:
		return fmt.Errorf("open file of capture %s again: %w", c.ID, err)
	}
	reason := fmt.Sprintf("the file of capture %s in the landing container is not the one that was analysed: version %+.40q became %+.40q; "+
		"what was analysed is in the vault, SHA-256 %s; find out who wrote the other", c.ID, known.ETag, now.Info().ETag, known.SHA256)
	return errors.Join(
		a.isolate(ctx, c, l.Name, landing, reason),
		a.report(ctx, origin(c), "evidence was overwritten where it landed", reason))
}

// origin is what a case tells about itself in a message.
func origin(c capture.Case) incident.Origin {
	return incident.Origin{
		Incident: c.Incident, Case: c.ID, Alert: c.Alert.ID, AlertRule: c.Alert.Rule, Profile: c.Profile, Owner: c.Approval.Owner,
		Target: c.Target, Region: c.Region, DeleteAfter: c.DeleteAfter, TraceParent: c.TraceParent,
	}
}

// claim finds the case that a file belongs to. A file that no case explains
// was not captured by us: it is not read, and a person hears of it.
func (a *Analyzer) claim(ctx context.Context, l evidence.Landed) (capture.Case, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.Unclaimed+time.Minute, errors.New("ledger is slow"))
	defer cancel()
	// From when the file landed: an event that comes again, or one of many
	// that somebody raises, holds up nobody.
	deadline := a.Now().Add(a.Unclaimed)
	if at := l.At.Add(a.Unclaimed); at.Before(deadline) {
		deadline = at
	}
	for {
		c, err := a.Ledger.ByPath(ctx, l.URL())
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return c, err
		}
		if err == nil && wrote(c, l) {
			return c, nil
		}
		if !a.Now().Before(deadline) {
			break
		}
		select {
		case <-ctx.Done():
			return c, context.Cause(ctx)
		case <-time.After(min(time.Second, a.Unclaimed)):
		}
	}
	reason := fmt.Sprintf("the file %+.300q in landing account %s belongs to no capture of this app; it was not read", l.Name, l.Account.Name())
	landing, err := a.Landing(l.Account.Name())
	if err == nil {
		err = a.isolate(ctx, capture.Case{}, l.Name, landing, reason)
	}
	err = errors.Join(err, a.report(ctx, foreign, "unknown file in the landing container", reason))
	return capture.Case{}, errors.Join(errors.New(reason), err)
}

// wrote reports whether the file is one that the session of the case writes:
// the one file of a machine, or any in the folder of a scale set. Azure lets
// anybody with a key put x.cap/y.cap beside x.cap.
func wrote(c capture.Case, l evidence.Landed) bool {
	return !strings.HasSuffix(strings.ToLower(c.StoragePath), ".cap") || strings.EqualFold(c.StoragePath, l.URL())
}

// report tells a person about something that looks like an attack.
func (a *Analyzer) report(ctx context.Context, o incident.Origin, title, reason string) error {
	o.Source, o.Version = a.Source, a.Version
	m, err := incident.Notice(o, incident.TypeSecurity, title, reason, finding.High, a.Now())
	if err != nil {
		return err
	}
	a.Log.WarnContext(ctx, title, "reason", reason)
	return a.Incidents.Send(ctx, m)
}
