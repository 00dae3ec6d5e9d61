package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// notices are what the incident queue calls the notices of captures.
var notices = map[capture.NoticeKind]struct {
	kind     string
	severity finding.Severity
}{
	capture.Failure:  {incident.TypeFailed, finding.Medium},
	capture.Approve:  {incident.TypeApproval, finding.Medium},
	capture.Trouble:  {incident.TypeTrouble, finding.High},
	capture.Stranger: {incident.TypeSecurity, finding.High},
	capture.Forgery:  {incident.TypeSecurity, finding.High},
}

// notify tells a person what the program can't settle by itself.
func notify(q incident.Queue, source string) capture.Notify {
	return func(ctx context.Context, n capture.Notice) error {
		c, as := n.Case, notices[n.Kind]
		m, err := incident.Notice(origin(c, source), as.kind, n.Title, n.Reason, as.severity, time.Now())
		if err != nil {
			return err
		}
		return q.Send(ctx, m)
	}
}

// origin is what a case tells about itself in a message.
func origin(c capture.Case, source string) incident.Origin {
	return incident.Origin{
		Source: source, Version: buildVersion(), Incident: c.Incident, Case: c.ID,
		Alert: c.Alert.ID, AlertRule: c.Alert.Rule, Profile: c.Profile, Owner: c.Approval.Owner,
		Target: c.Target, Region: c.Region, TraceParent: c.TraceParent,
	}
}

// landedAt is where the files of a case land: the container, and the name of
// the file or, for the instances of a scale set, of its folder. It is false
// for a case without such a place.
func landedAt(c capture.Case, pol *policy.Policy, landing func(string) (evidence.Landing, error)) (evidence.Landing, evidence.Landed, bool, error) {
	// A folder has no suffix of its own; as a name it reads like a file's.
	single := strings.HasSuffix(strings.ToLower(c.StoragePath), ".cap")
	where := c.StoragePath
	if !single {
		where += "/.cap"
	}
	at, ok := evidence.At(where, pol.Landing)
	if !ok {
		return nil, at, false, nil
	}
	if !single {
		at.Name = strings.TrimSuffix(at.Name, ".cap")
	}
	container, err := landing(at.Account.Name())
	return container, at, err == nil, err
}

// landedAs tells which of the names in a listing are meant: all in a folder,
// and one file itself, not others whose names begin like its own.
func landedAs(wanted string) func(name string) bool {
	return func(name string) bool { return strings.HasSuffix(wanted, "/") || name == wanted }
}

// recoverFiles raises the events of files that landed without one.
func recoverFiles(pol *policy.Policy, landing func(string) (evidence.Landing, error), events incident.Queue) func(context.Context, capture.Case) (int, error) {
	return func(ctx context.Context, c capture.Case) (int, error) {
		container, at, ok, err := landedAt(c, pol, landing)
		if !ok {
			return 0, err
		}
		raised, wanted := 0, at.Name
		for info, err := range container.List(ctx, wanted) {
			if err != nil {
				return raised, err
			}
			if !landedAs(wanted)(info.Name) {
				continue
			}
			if f := c.File(info.Name); f != nil && !f.Sent.IsZero() {
				continue
			}
			at.Name, at.ETag, at.Bytes, at.At = info.Name, info.ETag, info.Bytes, info.Modified
			body, err := at.Event()
			if err != nil {
				return raised, err
			}
			// The queue must take each search's event, and each only once.
			sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", c.ID, info.Name, c.Searches))
			if err := events.Send(ctx, incident.Message{
				ID: "recovered-" + hex.EncodeToString(sum[:]), CorrelationID: c.Incident,
				Subject: "Microsoft.Storage.BlobCreated", ContentType: "application/json", Body: body,
			}); err != nil {
				return raised, err
			}
			raised++
		}
		return raised, nil
	}
}

// expire deletes what there is of a case: where its files landed, in the
// vault, and their reports. All of it is tried before an error is returned.
func expire(pol *policy.Policy, landing func(string) (evidence.Landing, error), vault, reports files) func(context.Context, capture.Case) error {
	return func(ctx context.Context, c capture.Case) error {
		var errs []error
		if c.StoragePath != "" {
			container, at, ok, err := landedAt(c, pol, landing)
			switch {
			case err != nil:
				errs = append(errs, err)
			case !ok:
				errs = append(errs, errors.New("its landing account is not in the policy any more: name it again until the evidence is gone"))
			default:
				errs = append(errs, deleteAll(ctx, container, at.Name, landedAs(at.Name)))
			}
		}
		errs = append(errs, deleteAll(ctx, vault, path.Join(c.Incident, c.ID)+"/", every), deleteAll(ctx, reports, c.ID, every),
			deleteAll(ctx, reports, capture.IncidentPage(c.Incident)+".", every)) // it tells of this case, too
		return errors.Join(errs...)
	}
}

// store is what a file can be deleted from.
type store interface {
	List(ctx context.Context, prefix string) iter.Seq2[evidence.Info, error]
	Delete(ctx context.Context, name, etag string) error
}

// every is each name that begins with a prefix. The prefixes of the vault end in
// a slash; those of reports are a capture's name, which has a fixed length.
func every(string) bool { return true }

// deleteAll deletes the files whose names begin with prefix and are wanted, and
// what the store keeps of those that were deleted.
func deleteAll(ctx context.Context, from store, prefix string, wanted func(name string) bool) error {
	var errs []error
	for info, err := range from.List(ctx, prefix) {
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if !wanted(info.Name) {
			continue
		}
		if err := from.Delete(ctx, info.Name, info.ETag); err != nil && !errors.Is(err, evidence.ErrNotFound) {
			errs = append(errs, fmt.Errorf("delete %q: %w", info.Name, err))
		}
	}
	// Also where nothing was listed: the last try may have been killed here.
	if s, ok := from.(interface {
		Purge(ctx context.Context, prefix string, wanted func(name string) bool) (int, error)
	}); ok {
		_, err := s.Purge(ctx, prefix, wanted)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
