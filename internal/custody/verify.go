package custody

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// A Check holds evidence against its manifests, the manifests against their
// signatures and the audit log, and the log against itself. It changes
// nothing: what does not match stays as it is, for a person to look at.
type Check struct {
	Vault   evidence.Vault
	Reports evidence.Vault // nil: documents made from evidence are not looked at
	Records ledger.Store   // nil: there is no audit log to hold manifests against
	Trusted []PublicKey
	Now     time.Time

	log     audit.Report
	sealed  map[string][]string  // hashes that the log has of a file's manifests
	expired map[string]time.Time // cases whose evidence was deleted, and when
	heads   map[string]bool      // every head that the log had
}

// A Result is what a [Check] found. Nothing is wrong if no problem is listed.
type Result struct {
	Checked  time.Time     `json:"checked"`
	Items    []Item        `json:"items"`
	Log      *audit.Report `json:"log,omitempty"`
	Keys     []string      `json:"trustedKeys"`
	Problems []Problem     `json:"problems"`
}

// An Item is a piece of evidence that was checked.
type Item struct {
	Name      string    `json:"name"` // in the vault
	Incident  string    `json:"incident"`
	Capture   string    `json:"capture"`
	Bytes     int64     `json:"bytes"`
	SHA256    string    `json:"sha256"`
	Sealed    time.Time `json:"sealed,omitzero"`
	Documents int       `json:"documents"` // made from it, and checked
	Note      string    `json:"note,omitempty"`
}

// A Problem is something that is not as it was sealed.
type Problem struct {
	Item string `json:"item"` // the file, the manifest, the segment, ...
	What string `json:"what"`
}

func (r *Result) complain(item, format string, args ...any) {
	r.Problems = append(r.Problems, Problem{item, fmt.Sprintf(format, args...)})
}

// sealing is how long a file may be in the vault before its manifest is.
const sealing = 30 * time.Minute

// Run checks the evidence of an incident, or all with "". The error is that
// of a store; what is wrong with evidence is in the result.
func (k *Check) Run(ctx context.Context, incident string) (Result, error) {
	r := Result{Checked: k.Now.UTC(), Items: []Item{}, Problems: []Problem{}, Keys: []string{}}
	for _, key := range k.Trusted {
		r.Keys = append(r.Keys, key.ID)
	}
	if err := k.readLog(ctx, &r); err != nil {
		return r, err
	}
	prefix := ""
	if incident != "" {
		prefix = incident + "/"
	}
	manifests, files, keys := map[string]bool{}, []evidence.Info{}, []evidence.Info{}
	for info, err := range k.Vault.List(ctx, prefix) {
		switch {
		case err != nil:
			return r, fmt.Errorf("list the vault: %w", err)
		case isManifest(info.Name):
			manifests[info.Name] = true
		case strings.HasPrefix(info.Name, keyFolder):
			keys = append(keys, info)
		case strings.HasPrefix(info.Name, certificateFolder): // checked below, with those of one incident
		default:
			files = append(files, info)
		}
	}
	for _, f := range files {
		if name := ManifestName(f.Name); manifests[name] {
			delete(manifests, name)
			if err := k.item(ctx, &r, f); err != nil {
				return r, err
			}
		} else if len(k.sealed[f.Name]) == 0 && k.Now.Sub(f.Modified) < sealing {
			r.Items = append(r.Items, Item{Name: f.Name, Bytes: f.Bytes, Note: "it is being sealed: check again later"})
		} else {
			r.complain(f.Name, "it has no manifest: nothing says what it was")
		}
	}
	for name := range manifests {
		r.complain(name, "the file that it is about is gone")
	}
	k.missing(&r, incident, files)
	if err := k.certificates(ctx, &r, incident); err != nil {
		return r, err
	}
	for _, f := range keys {
		if err := k.key(ctx, &r, f.Name); err != nil {
			return r, err
		}
	}
	return r, nil
}

// readLog checks the audit log, and remembers what it says of evidence.
func (k *Check) readLog(ctx context.Context, r *Result) error {
	k.sealed, k.expired, k.heads = map[string][]string{}, map[string]time.Time{}, map[string]bool{}
	if k.Records == nil {
		return nil
	}
	var err error
	k.log, err = audit.Check(ctx, k.Records, func(hash string, entries []audit.Entry) {
		k.heads[hash] = true
		for _, e := range entries {
			if e.Phase != audit.After || e.Outcome != audit.Done {
				continue
			}
			switch e.Action {
			case audit.Seal:
				k.sealed[e.File] = append(k.sealed[e.File], e.SHA256)
			case audit.Expire:
				k.expired[e.Incident+"/"+e.Case] = e.At
				k.sealed[e.File] = append(k.sealed[e.File], e.SHA256) // its certificate
			}
		}
	})
	if err != nil {
		return err
	}
	r.Log = &k.log
	for _, p := range k.log.Problems {
		r.complain("audit log", "%s", p)
	}
	return nil
}

// item checks one file, its manifest, and what was made from it.
func (k *Check) item(ctx context.Context, r *Result, f evidence.Info) error {
	name := ManifestName(f.Name)
	text, err := evidence.Load(ctx, k.Vault, name, maxEnvelope)
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	m, err := OpenManifest(text, k.Trusted)
	if err != nil {
		r.complain(name, "%v", err)
		if !errors.Is(err, ErrUntrusted) {
			return nil
		}
	}
	if k.Records != nil {
		k.inLog(r, name, f.Name, text)
		if m.Log.SHA256 != "" && !k.heads[m.Log.SHA256] {
			r.complain("audit log", "segment %d, which the manifest of %s was signed over, is not in it any more: it was cut short, or written anew", m.Log.Segment, f.Name)
		}
	}
	if m.Location.Name != f.Name || !strings.HasPrefix(f.Name, m.Identity.Incident+"/"+m.Identity.Capture+"/") {
		r.complain(name, "it is about %.200q, and was put beside another file", m.Location.Name)
	}
	got, err := DigestOf(ctx, k.Vault, f.Name)
	if err != nil {
		return fmt.Errorf("read evidence: %w", err)
	}
	if wrong := Compare(got, m.Digest()); wrong != "" {
		r.complain(f.Name, "%s", wrong)
	}
	item := Item{
		Name: f.Name, Incident: m.Identity.Incident, Capture: m.Identity.Capture, Bytes: got.Bytes, SHA256: got.SHA256,
		Sealed: m.Integrity.Verified,
	}
	for _, d := range m.Derived {
		if k.Reports == nil || d.Store != "reports" {
			continue
		}
		got, err := DigestOf(ctx, k.Reports, d.Name)
		switch {
		case errors.Is(err, evidence.ErrNotFound), errors.Is(err, evidence.ErrBadName):
			r.complain("reports/"+d.Name, "it is gone, and the evidence that it was made from is not")
		case err != nil:
			return fmt.Errorf("read document: %w", err)
		case got.SHA256 != d.SHA256:
			r.complain("reports/"+d.Name, "SHA-256 is %s, sealed was %.64s", got.SHA256, d.SHA256)
		}
		item.Documents++
	}
	r.Items = append(r.Items, item)
	return nil
}

// inLog looks for an envelope's hash in the audit log.
func (k *Check) inLog(r *Result, envelope, about string, text []byte) {
	switch logged, digest := k.sealed[about], Digest(text); {
	case len(logged) == 0:
		r.complain(envelope, "the audit log knows nothing of it")
	case !slices.Contains(logged, digest):
		r.complain(envelope, "SHA-256 is %s; the audit log has %s", digest, strings.Join(logged, ", "))
	}
}

// missing looks for what the log says was sealed, and is not in the vault.
func (k *Check) missing(r *Result, incident string, files []evidence.Info) {
	there := map[string]bool{}
	for _, f := range files {
		there[f.Name] = true
	}
	for name := range k.sealed {
		owner := strings.SplitN(name, "/", 3)
		if len(owner) < 3 || strings.HasPrefix(name, ".") || there[name] || incident != "" && owner[0] != incident {
			continue
		}
		if _, gone := k.expired[owner[0]+"/"+owner[1]]; !gone {
			r.complain(name, "it was sealed, and is gone; the audit log does not say that it was deleted")
		}
	}
}

// certificates checks those of evidence that was deleted.
func (k *Check) certificates(ctx context.Context, r *Result, incident string) error {
	prefix := certificateFolder
	if incident != "" {
		prefix += incident + "/"
	}
	there := map[string]bool{}
	for info, err := range k.Vault.List(ctx, prefix) {
		if err != nil {
			return fmt.Errorf("list the vault: %w", err)
		}
		there[info.Name] = true
		text, err := evidence.Load(ctx, k.Vault, info.Name, maxEnvelope)
		if err != nil {
			return fmt.Errorf("read certificate: %w", err)
		}
		c, err := OpenCertificate(text, k.Trusted)
		if err != nil {
			r.complain(info.Name, "%v", err)
		} else if info.Name != CertificateName(c.Incident, c.Capture) {
			r.complain(info.Name, "it is about capture %.100q", c.Capture)
		}
		if k.Records != nil {
			k.inLog(r, info.Name, info.Name, text)
		}
	}
	for name := range k.sealed {
		if strings.HasPrefix(name, prefix) && !there[name] {
			r.complain(name, "the certificate of a deletion is gone")
		}
	}
	return nil
}

// key checks that a public key is the one that its name says.
func (k *Check) key(ctx context.Context, r *Result, name string) error {
	text, err := evidence.Load(ctx, k.Vault, name, 1<<14)
	if err != nil {
		return fmt.Errorf("read public key: %w", err)
	}
	key, err := ParseKey(text)
	if err != nil {
		r.complain(name, "%v", err)
		return nil
	}
	if again, err := key.PEM(); err != nil || KeyName(key.ID) != name || string(again) != string(text) {
		r.complain(name, "it holds another key than its name says")
	}
	return nil
}
