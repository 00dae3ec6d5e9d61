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
	"maps"
	"net/netip"
	"path"
	"slices"
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
	cut      map[int][]byte // excerpts, by the index of their finding
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
	if err := a.recall(ctx, c, e, stem); err != nil {
		return "", err
	}
	wrong, err := a.readBack(ctx, e)
	if err != nil {
		return "", err
	}
	if wrong != "" {
		telemetry.Mismatches.Add(ctx, 1)
		return a.quarantine(ctx, c, l, landing, e, wrong)
	}
	failpoint.Here("vault-verified")
	o := origin(c)
	o.Source, o.Version = a.Source, a.Version
	if err := a.document(ctx, c, l, e, stem, &o); err != nil {
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
	o.Evidence = "vault/" + e.file.Vault
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

// recall takes the analysis that an earlier try stored, if there is one: what
// the network's rules say may have changed since, and page and message must
// not contradict what is stored. Else it asks for the rules, before anything
// counts findings: they may add one.
func (a *Analyzer) recall(ctx context.Context, c capture.Case, e *examined, stem string) error {
	text, err := evidence.Load(ctx, a.Reports, stem+".json", maxDocument)
	if errors.Is(err, evidence.ErrNotFound) {
		a.explain(ctx, c, e)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the analysis of an earlier try: %w", err)
	}
	stored, err := report.ReadJSON(bytes.NewReader(text))
	if err == nil && stored.Capture.SHA256 == e.file.SHA256 {
		e.analysis = stored
		e.file.Cause, e.file.Culprit = string(stored.Verdict.Cause), string(stored.Verdict.Culprit)
	}
	return nil
}

// document makes and stores what people and programs read.
func (a *Analyzer) document(ctx context.Context, c capture.Case, l evidence.Landed, e *examined, stem string, o *incident.Origin) error {
	keep := func(name string, kind custody.Kind, text []byte, transforms ...string) (incident.Reference, error) {
		d, err := a.store(ctx, name, text)
		if err != nil {
			return incident.Reference{}, err
		}
		d.EvidenceID, d.Kind, d.Transforms = name, kind, transforms
		e.derived = append(e.derived, d)
		return incident.Reference{Location: "reports/" + name, SHA256: d.SHA256}, nil
	}
	for _, n := range slices.Sorted(maps.Keys(e.cut)) {
		name := fmt.Sprintf("%s-%02d.pcapng", stem, n+1)
		r, err := keep(name, custody.Excerpt, e.cut[n], "packets of one finding and of their handshakes", "payload cut off")
		if err != nil {
			return err
		}
		e.file.Excerpts = append(e.file.Excerpts, name)
		for i := range e.excerpts {
			if e.excerpts[i].Finding == n {
				e.excerpts[i].File, e.excerpts[i].SHA256 = name, r.SHA256
			}
		}
	}
	e.file.Analysis, e.file.Report, e.file.Markdown = stem+".json", stem+".html", stem+".md"
	var document, page, ticket bytes.Buffer
	err := report.JSON(&document, e.analysis)
	if err == nil {
		o.Analysis, err = keep(e.file.Analysis, custody.Report, document.Bytes())
	}
	if err != nil {
		return err
	}
	m := a.manifest(c, l, e, stem) // what can be known of it on a page that it is to name
	p := report.Page{Analysis: e.analysis, Case: about(c), Custody: &m, Context: e.analysis.Context, Excerpts: e.excerpts}
	if err := errors.Join(report.HTML(&page, p), report.Markdown(&ticket, p)); err != nil {
		return err
	}
	if o.Report, err = keep(e.file.Report, custody.Report, page.Bytes()); err != nil {
		return err
	}
	_, err = keep(e.file.Markdown, custody.Report, ticket.Bytes())
	return err
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
	o := analysis.Options{File: file, Severities: a.Policy.Severities, Context: detect.Context{
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
