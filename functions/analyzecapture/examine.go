package analyzecapture

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/report"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// An examined file is in the vault, and was read back.
type examined struct {
	analysis *analysis.Analysis
	file     capture.File
	digest   evidence.Digest
	vault    evidence.Info
	verified time.Time
	excerpts []report.Excerpt
	derived  []custody.Derived
}

// examine reads the file once: what is hashed, what is analysed and what goes
// into the vault are the same bytes. It returns the ID of the stored message.
func (a *Analyzer) examine(ctx context.Context, c capture.Case, l evidence.Landed, landing evidence.Landing, source evidence.File) (string, error) {
	info := source.Info()
	e := &examined{file: capture.File{Name: info.Name, ETag: info.ETag, Landed: info.Modified.UTC()}}
	stem := c.ID + "-" + version(e.file)
	e.file.Vault = path.Join(c.Incident, c.ID, version(e.file), path.Base(e.file.Name))
	if err := a.log(ctx, c, audit.Entry{Action: audit.Seal, Phase: audit.Before, File: e.file.Vault, Reason: "it landed"}); err != nil {
		return "", err
	}
	if err := a.readTraced(ctx, c, source, e); err != nil {
		return "", err
	}
	failpoint.Here("vault-stored")
	wrong, err := a.readBack(ctx, e, stem)
	if err != nil {
		return "", err
	}
	if wrong != "" {
		telemetry.Mismatches.Add(ctx, 1)
		return a.quarantine(ctx, c, l, landing, e, wrong)
	}
	failpoint.Here("vault-verified")
	a.explain(ctx, c, e) // before anything counts findings: it may add one
	o := origin(c)
	o.Source, o.Version = a.Source, a.Version
	if err := a.document(ctx, c, e, stem, &o); err != nil {
		return "", err
	}
	failpoint.Here("report-stored")
	wrong, err = a.attest(ctx, c, l, e, stem)
	if err != nil {
		return "", err
	}
	if wrong != "" {
		telemetry.Mismatches.Add(ctx, 1)
		return a.quarantine(ctx, c, l, landing, e, wrong)
	}
	o.Manifest = incident.Reference{Location: "vault/" + e.file.Manifest, SHA256: e.file.ManifestSHA256}
	m, err := incident.Analysed(o, e.analysis, a.Now())
	if err != nil {
		return "", err
	}
	measure(ctx, e)
	return a.post(ctx, c, l, e.file, m, e.file.Quarantine != "")
}

// read reads where the file landed, and writes it into the vault.
func (a *Analyzer) read(ctx context.Context, c capture.Case, source evidence.File, e *examined) error {
	content, err := source.Reader(ctx)
	if err != nil {
		return err
	}
	defer content.Close()
	hash := evidence.NewDigestReader(content)
	defer hash.Close()
	vault := a.seal(ctx, c, e.file.Vault)
	e.analysis, err = a.run(ctx, c, e, io.TeeReader(hash, vault))
	if err == nil {
		// The analysis stops where it can't read on; evidence is the whole file.
		_, err = io.Copy(vault, hash)
	}
	if err = errors.Join(err, vault.close(err)); err != nil {
		return err
	}
	e.digest = hash.Digest()
	e.file.Bytes, e.file.SHA256 = e.digest.Bytes, e.digest.SHA256
	e.analysis.Capture.Bytes, e.analysis.Capture.SHA256 = e.file.Bytes, e.file.SHA256
	e.file.Cause, e.file.Culprit = string(e.analysis.Verdict.Cause), string(e.analysis.Verdict.Culprit)
	return nil
}

// document makes and stores what people and programs read.
func (a *Analyzer) document(ctx context.Context, c capture.Case, e *examined, stem string, o *incident.Origin) error {
	e.file.Analysis, e.file.Report = stem+".json", stem+".html"
	var document, page bytes.Buffer
	if err := report.JSON(&document, e.analysis); err != nil {
		return err
	}
	if err := report.HTML(&page, report.Page{Analysis: e.analysis, Context: e.analysis.Context, Case: about(c), Excerpts: e.excerpts}); err != nil {
		return err
	}
	for _, d := range []struct {
		name string
		text []byte
		to   *incident.Reference
	}{{e.file.Analysis, document.Bytes(), &o.Analysis}, {e.file.Report, page.Bytes(), &o.Report}} {
		stored, err := a.store(ctx, d.name, d.text)
		if err != nil {
			return err
		}
		*d.to = incident.Reference{Location: "reports/" + d.name, SHA256: stored.SHA256}
		stored.EvidenceID, stored.Kind = stem+path.Ext(d.name), custody.Report
		e.derived = append(e.derived, stored)
	}
	return nil
}

// version names one version of one file of a case. What is stored under it was
// made from these bytes, by this try or an earlier one, whatever else lands
// under the same name and however many files the case has.
func version(f capture.File) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s%s", len(f.Name), f.Name, strings.Trim(f.ETag, `"`)))
	return hex.EncodeToString(sum[:6])
}

// options tell the analysis what the case knows: where it was captured, with
// which filters, and for how long.
func (a *Analyzer) options(c capture.Case, file string) analysis.Options {
	o := analysis.Options{File: file, Context: detect.Context{
		Filtered: len(c.Filters) > 0, TimeLimit: c.TimeLimit, TotalBytes: c.TotalBytes,
		WindowStart: c.Alert.WindowStart, WindowEnd: c.Alert.WindowEnd,
		ExpectedOutbound: a.Policy.Expected.Outbound, ExpectedResolvers: a.Policy.Expected.Resolvers,
	}}
	for _, s := range c.Addresses {
		if addr, err := netip.ParseAddr(s); err == nil {
			o.Vantage = append(o.Vantage, addr)
		}
	}
	return o
}

func about(c capture.Case) report.About {
	r := report.About{
		Incident: c.Incident, Case: c.ID, Target: c.Target, Region: c.Region, Baseline: c.Role == string(policy.RoleCompareWith),
		Alert: c.Alert.Rule, Severity: c.Alert.Severity, Fired: c.Alert.Fired,
		WindowStart: c.Alert.WindowStart, WindowEnd: c.Alert.WindowEnd,
		Profile: c.Profile, Reason: c.Approval.Reason, Owner: c.Approval.Owner, Approver: c.Approval.Approver,
		Started: c.Started, TimeLimit: c.TimeLimit, TotalBytes: c.TotalBytes, DeleteAfter: c.DeleteAfter,
	}
	for _, f := range c.Filters {
		r.Filters = append(r.Filters, words(f))
	}
	return r
}

// words says what a filter lets through.
func words(f capture.Filter) string {
	var text strings.Builder
	text.WriteString(f.Protocol)
	for _, side := range []struct{ name, address, port string }{{"local", f.LocalIP, f.LocalPort}, {"remote", f.RemoteIP, f.RemotePort}} {
		if side.address != "" || side.port != "" {
			text.WriteString(fmt.Sprintf(", %s %s port %s", side.name, cmp.Or(side.address, "any"), cmp.Or(side.port, "any")))
		}
	}
	return text.String()
}
