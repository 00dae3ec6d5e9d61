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

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/report"
)

// An examined file is in the vault, and its report is stored.
type examined struct {
	analysis *analysis.Analysis
	file     capture.File
	origin   incident.Origin
}

// examine reads the file once: what is hashed, what is analysed and what goes
// into the vault are the same bytes.
func (a *Analyzer) examine(ctx context.Context, c capture.Case, source evidence.File) (*examined, error) {
	content, err := source.Reader(ctx)
	if err != nil {
		return nil, err
	}
	defer content.Close()

	file := capture.File{Name: source.Info().Name, ETag: source.Info().ETag, Landed: source.Info().Modified.UTC()}
	v := version(file)
	file.Vault = path.Join(c.Incident, c.ID, v, path.Base(file.Name))
	hash := evidence.NewHashReader(content)
	defer hash.Close()
	vault := a.seal(ctx, c, file.Vault)
	analysed, err := analysis.Run(ctx, io.TeeReader(hash, vault), a.options(c, file.Name))
	if err == nil {
		// The analysis stops where it can't read on; evidence is the whole file.
		_, err = io.Copy(vault, hash)
	}
	if err = errors.Join(err, vault.close(err)); err != nil {
		return nil, err
	}
	file.Bytes, file.SHA256 = hash.Bytes(), hash.Sum()
	analysed.Capture.Bytes, analysed.Capture.SHA256 = file.Bytes, file.SHA256
	file.Cause, file.Culprit = string(analysed.Verdict.Cause), string(analysed.Verdict.Culprit)

	file.Analysis, file.Report = c.ID+"-"+v+".json", c.ID+"-"+v+".html"
	var document, page bytes.Buffer
	if err := report.JSON(&document, analysed); err != nil {
		return nil, err
	}
	if err := report.HTML(&page, report.Page{Analysis: analysed, Case: about(c)}); err != nil {
		return nil, err
	}
	o := origin(c)
	o.Source, o.Version = a.Source, a.Version
	if o.Analysis, err = a.store(ctx, file.Analysis, document.Bytes()); err != nil {
		return nil, err
	}
	if o.Report, err = a.store(ctx, file.Report, page.Bytes()); err != nil {
		return nil, err
	}
	return &examined{analysis: analysed, file: file, origin: o}, nil
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

// store keeps a document. One that is there was made by an earlier try from
// the same bytes, and stays.
func (a *Analyzer) store(ctx context.Context, name string, document []byte) (incident.Reference, error) {
	_, err := a.Reports.Create(ctx, name, bytes.NewReader(document), nil)
	if errors.Is(err, evidence.ErrExists) {
		f, err := a.Reports.Open(ctx, name)
		if err != nil {
			return incident.Reference{}, fmt.Errorf("open report %q: %w", name, err)
		}
		r, err := f.Reader(ctx)
		if err != nil {
			return incident.Reference{}, fmt.Errorf("read report %q: %w", name, err)
		}
		defer r.Close()
		if document, err = io.ReadAll(r); err != nil {
			return incident.Reference{}, fmt.Errorf("read report %q: %w", name, err)
		}
	} else if err != nil {
		return incident.Reference{}, fmt.Errorf("store report %q: %w", name, err)
	}
	sum := sha256.Sum256(document)
	return incident.Reference{Location: "reports/" + name, SHA256: hex.EncodeToString(sum[:])}, nil
}

// seal returns a writer into the vault. What an earlier try stored stays, and
// the writer then swallows what it is given.
func (a *Analyzer) seal(ctx context.Context, c capture.Case, name string) *sealer {
	r, w := io.Pipe()
	s := &sealer{w: w, done: make(chan error, 1)}
	tags := map[string]string{
		"incident": c.Incident, "capture": c.ID, "classification": "restricted",
		"deleteAfter": c.DeleteAfter.UTC().Format("2006-01-02T15:04:05Z"),
	}
	go func() {
		_, err := a.Vault.Create(ctx, name, r, tags)
		if errors.Is(err, evidence.ErrExists) {
			_, err = io.Copy(io.Discard, r)
		}
		r.CloseWithError(err)
		s.done <- err
	}()
	return s
}

type sealer struct {
	w    *io.PipeWriter
	done chan error
}

func (s *sealer) Write(p []byte) (int, error) { return s.w.Write(p) }

// close ends the file, or abandons it when reading failed.
func (s *sealer) close(cause error) error {
	s.w.CloseWithError(cause) // nil is the end of the file
	if err := <-s.done; err != nil && !errors.Is(err, cause) {
		return fmt.Errorf("store in the vault: %w", err)
	}
	return nil
}
