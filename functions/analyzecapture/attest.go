package analyzecapture

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// attest signs the custody manifest, stores it beside the evidence, and puts
// its hash into the audit log. A manifest that is there is an earlier try's,
// or else somebody's who wants it to be taken for one: that is told in words.
func (a *Analyzer) attest(ctx context.Context, c capture.Case, l evidence.Landed, e *examined, id string) (wrong string, err error) {
	e.file.Manifest = custody.ManifestName(e.file.Vault)
	m := a.manifest(c, l, e, id)
	if m.Log.Segment, m.Log.SHA256, err = a.Audit.Head(ctx); err != nil {
		return "", err
	}
	envelope, key, err := custody.Sign(ctx, a.Signer, custody.ManifestType, m)
	if err != nil {
		return "", err
	}
	_, err = a.Vault.Create(ctx, e.file.Manifest, bytes.NewReader(envelope), tags(c))
	if errors.Is(err, evidence.ErrExists) {
		if envelope, err = evidence.Load(ctx, a.Vault, e.file.Manifest, maxDocument); err == nil {
			wrong, err = a.judge(ctx, envelope, id, e)
		}
	}
	if err != nil {
		return "", fmt.Errorf("store custody manifest: %w", err)
	}
	if wrong != "" {
		return wrong, nil
	}
	if err := custody.StoreKey(ctx, a.Vault, key); err != nil {
		return "", err
	}
	failpoint.Here("manifest-stored")
	e.file.ManifestSHA256 = custody.Digest(envelope)
	if err := a.log(ctx, c, audit.Entry{
		Action: audit.Seal, Phase: audit.After, File: e.file.Vault, Reason: "it landed", Outcome: audit.Done, SHA256: e.file.ManifestSHA256,
	}); err != nil {
		return "", err
	}
	failpoint.Here("seal-logged")
	return "", nil
}

// judge says what is wrong with a manifest that was there before.
func (a *Analyzer) judge(ctx context.Context, envelope []byte, id string, e *examined) (wrong string, err error) {
	keys, err := a.Signer.Trusted(ctx)
	if err != nil {
		return "", err
	}
	m, err := custody.OpenManifest(envelope, keys)
	switch {
	case err != nil:
		return fmt.Sprintf("beside it in the vault lies a manifest that this app did not sign: %v", err), nil
	case m.Identity.EvidenceID != id:
		return fmt.Sprintf("beside it in the vault lies the manifest of other evidence, %.100q", m.Identity.EvidenceID), nil
	}
	if wrong := custody.Compare(e.digest, m.Digest()); wrong != "" {
		return "its bytes are not those of the manifest beside it: " + wrong, nil
	}
	return "", nil
}

// manifest is what is known of a file when it is sealed.
func (a *Analyzer) manifest(c capture.Case, l evidence.Landed, e *examined, id string) custody.Manifest {
	tool := custody.ThisTool(a.Version)
	m := custody.Manifest{
		Schema:   custody.Schema,
		Identity: custody.Identity{EvidenceID: id, RootID: id, Kind: custody.Original, Incident: c.Incident, Capture: c.ID, File: e.file.Name},
		Authority: custody.Authority{
			Profile: c.Profile, PolicyHash: c.PolicyHash, Mode: c.Approval.Mode, Reason: c.Approval.Reason,
			Owner: c.Approval.Owner, Approver: c.Approval.Approver, ValidTo: c.Approval.Expires.UTC(),
		},
		Source: custody.Source{
			Target: c.Target, TargetType: string(c.TargetType), Region: c.Region, VMID: c.VMID, Instances: c.Instances,
			Addresses: c.Addresses, Role: c.Role, Filters: []custody.Filter{},
			TimeLimit: policy.FormatDuration(c.TimeLimit), TotalBytes: c.TotalBytes, BytesPerPacket: c.BytesPerPacket,
		},
		Trigger: custody.Trigger{
			Alert: c.Alert.ID, Rule: c.Alert.Rule, Severity: c.Alert.Severity, Fired: c.Alert.Fired.UTC(), Received: c.Asked.UTC(),
			Joined: len(c.OtherAlerts), TraceParent: c.TraceParent,
		},
		Acquisition: custody.Acquisition{
			Session: c.SessionID, Started: c.Started.UTC(), Stopped: c.Stopped.UTC(), StopReason: c.StopReason, AgentErrors: c.AgentErrors,
			Landed: e.file.Landed, Tool: tool,
			// The vault's clock stamped the copy a moment before it was read back.
			Clock: custody.Clock{Local: e.verified, Storage: e.vault.Modified.UTC(), SkewMS: e.verified.Sub(e.vault.Modified).Milliseconds()},
		},
		Integrity: custody.Integrity{
			Bytes: e.digest.Bytes, SHA256: e.digest.SHA256, BlockSize: evidence.BlockSize, Blocks: e.digest.Blocks, Merkle: e.digest.Merkle,
			Read: e.file.ETag, Written: e.vault.ETag, Verified: e.verified,
		},
		Location:    custody.Location{Store: "vault", Name: e.file.Vault, Region: c.Region, LandedAt: l.URL(), AccountID: l.Account.String()},
		Custody:     a.transfers(c, l, e),
		Disposition: custody.Disposition{DeleteAfter: c.DeleteAfter.UTC(), Retention: policy.FormatDuration(c.Retention), Classification: restricted},
		Derived:     e.derived,
	}
	if target, err := resourceid.Parse(c.Target); err == nil {
		m.Source.Subscription = target.Subscription()
	}
	if d := c.Approval.Decision; d != nil {
		m.Authority.Approver, m.Authority.ApprovedAt = d.By, d.At.UTC()
	}
	for _, f := range c.Filters {
		m.Source.Filters = append(m.Source.Filters, custody.Filter{
			Protocol: f.Protocol, LocalIP: f.LocalIP, LocalPort: f.LocalPort, RemoteIP: f.RemoteIP, RemotePort: f.RemotePort,
		})
	}
	return m
}

// transfers are the steps that brought the file into the vault.
func (a *Analyzer) transfers(c capture.Case, l evidence.Landed, e *examined) []custody.Transfer {
	var all []custody.Transfer
	add := func(t custody.Transfer) {
		if !t.At.IsZero() {
			t.Sequence, t.At = len(all)+1, t.At.UTC()
			all = append(all, t)
		}
	}
	vault := "vault/" + e.file.Vault
	add(custody.Transfer{At: c.Asked, Actor: "alert rule " + c.Alert.Rule, Action: custody.Request, Reason: c.Approval.Reason, To: c.Target})
	if d := c.Approval.Decision; d != nil {
		add(custody.Transfer{At: d.At, Actor: d.By, Action: custody.Approve, Reason: d.Reason})
	} else {
		add(custody.Transfer{At: c.Asked, Actor: c.Approval.Approver, Action: custody.Approve, Reason: "standing approval of profile " + c.Profile})
	}
	add(custody.Transfer{At: c.Started, Actor: actor, Action: custody.Start, To: c.SessionID})
	add(custody.Transfer{At: c.Stopped, Actor: actor, Action: custody.Stop, Reason: c.StopReason})
	add(custody.Transfer{At: e.file.Landed, Actor: "Network Watcher", Action: custody.Land, From: c.SessionID, To: l.URL()})
	add(custody.Transfer{At: e.vault.Modified, Actor: actor, Action: custody.Hash, Outcome: "sha256 " + e.digest.SHA256})
	add(custody.Transfer{At: e.vault.Modified, Actor: actor, Action: custody.Promote, From: l.URL(), To: vault})
	add(custody.Transfer{At: e.verified, Actor: actor, Action: custody.Verify, From: vault, Outcome: "the same bytes"})
	add(custody.Transfer{At: e.verified, Actor: actor, Action: custody.Analyse, Outcome: e.file.Cause + ", culprit " + e.file.Culprit})
	if len(e.derived) > 0 {
		add(custody.Transfer{At: a.Now(), Actor: actor, Action: custody.Derive, From: vault, To: fmt.Sprintf("%d documents", len(e.derived))})
	}
	return all
}
