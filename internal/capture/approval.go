package capture

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// ErrState says that a case is not in the state that a decision is about.
var ErrState = errors.New("not possible in this state")

// await asks a person, and records that the case waits.
func (s *Starter) await(ctx context.Context, c Case) (Case, error) {
	if err := s.Notify(ctx, Notice{Approve, c, "a capture awaits approval", proposal(c)}); err != nil {
		return c, fmt.Errorf("ask for the approval of capture %s: %w", c.ID, err)
	}
	now := s.Now().UTC()
	found := c
	c, err := s.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		if c.State != Asked || !c.Approval.open() {
			return ledger.ErrUnchanged
		}
		c.State, c.Reason = Awaiting, "it waits for an approval by "+c.Approval.Owner
		c.Region, c.VMID, c.Addresses, c.StorageID = found.Region, found.VMID, found.Addresses, found.StorageID
		c.Instances, c.InstancesReason = found.Instances, found.InstancesReason
		c.Note(now, "approval asked for: %s", proposal(found))
		return nil
	})
	if err == nil {
		s.Log.InfoContext(ctx, "capture awaits approval", "incident", c.Incident, "capture", c.ID, "target", c.Target, "profile", c.Profile)
	}
	return c, err
}

// proposal says what would be captured.
func proposal(c Case) string {
	var filters []string
	for _, f := range c.Filters {
		filters = append(filters, words(f))
	}
	where := c.Target
	if len(c.Instances) > 0 {
		where += ", instances " + strings.Join(c.Instances, ", ")
	}
	packet := "whole packets"
	if c.BytesPerPacket > 0 {
		packet = fmt.Sprintf("the first %d bytes of each packet", c.BytesPerPacket)
	}
	return fmt.Sprintf("alert rule %q asks for profile %s (%s) on %s: %s of %s, for at most %s or %s, kept until %s. Decide within %s: pcapwarden captures approve %s --reason WHY, or reject",
		c.Alert.Rule, c.Profile, c.Approval.Reason, where, packet, strings.Join(filters, " or "),
		policy.FormatDuration(c.TimeLimit), policy.FormatSize(c.TotalBytes), c.DeleteAfter.UTC().Format(time.DateOnly),
		policy.FormatDuration(approvalPatience), c.ID)
}

// words says what a filter lets through.
func words(f Filter) string {
	var text strings.Builder
	text.WriteString(f.Protocol)
	for _, side := range []struct{ name, address, port string }{{"local", f.LocalIP, f.LocalPort}, {"remote", f.RemoteIP, f.RemotePort}} {
		if side.address != "" {
			text.WriteString(" " + side.name + " " + side.address)
		}
		if side.port != "" {
			text.WriteString(" " + side.name + " port " + side.port)
		}
	}
	return text.String()
}

// approve has a case that awaits approval go on.
func (c *Case) approve(d Decision) error {
	if c.State != Awaiting {
		return fmt.Errorf("approve capture %s: %w: it is %s", c.ID, ErrState, c.State)
	}
	if !c.Resolved.IsZero() {
		return fmt.Errorf("approve capture %s: %w: its alert is resolved", c.ID, ErrState)
	}
	if !c.Approval.validAt(d.At) {
		return fmt.Errorf("approve capture %s: %w: the approval of its profile has expired", c.ID, ErrState)
	}
	c.State, c.Reason, c.Approval.Decision = Asked, "", &d
	c.Note(d.At, "approved by %s: %s", d.By, d.Reason)
	return nil
}

// reject ends a case that awaits approval.
func (c *Case) reject(d Decision) error {
	if c.State != Awaiting {
		return fmt.Errorf("reject capture %s: %w: it is %s", c.ID, ErrState, c.State)
	}
	c.State, c.Reason, c.Approval.Decision = Rejected, fmt.Sprintf("rejected by %s: %s", d.By, d.Reason), &d
	c.Note(d.At, "%s", c.Reason)
	return nil
}

// hold keeps the evidence of a case.
func (c *Case) hold(d Decision) error {
	switch {
	case !c.Deleted.IsZero():
		return fmt.Errorf("hold capture %s: %w: its evidence is deleted", c.ID, ErrState)
	case c.Hold != nil:
		return fmt.Errorf("hold capture %s: %w: it is held by %s", c.ID, ErrState, c.Hold.By)
	}
	c.Hold = &d
	c.Note(d.At, "held by %s: %s", d.By, d.Reason)
	return nil
}

// release ends a hold.
func (c *Case) release(d Decision) error {
	if c.Hold == nil {
		return fmt.Errorf("release capture %s: %w: nobody holds it", c.ID, ErrState)
	}
	c.Hold = nil
	if c.State == Held {
		c.State, c.Reason = Closed, ""
	}
	c.Note(d.At, "released by %s: %s", d.By, d.Reason)
	return nil
}
