package report

import (
	"fmt"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/custody"
)

// maxTransfers and maxDerived bound the tables; the manifest has all.
const (
	maxTransfers = 40
	maxDerived   = 60
)

// A custodyView is what proves that the evidence is what was captured.
type custodyView struct {
	Facts     []fact
	Transfers []transfer
	Derived   []derived
	Left      int
}

type transfer struct{ Sequence, At, Actor, Action, Outcome string }

type derived struct{ Kind, Name, Bytes, SHA256, Note string }

// newCustody returns nil without a manifest.
func newCustody(m *custody.Manifest) *custodyView {
	if m == nil {
		return nil
	}
	v := &custodyView{}
	add := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, fact{Name: name, Value: value})
		}
	}
	code := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, fact{Name: name, Value: value, Code: true})
		}
	}
	i := &m.Integrity
	code("SHA-256", printable(i.SHA256))
	if len(i.Blocks) > 0 {
		code("Merkle root", printable(i.Merkle))
		add("Blocks", fmt.Sprintf("%d of %s, each with its own SHA-256", len(i.Blocks), Bytes(i.BlockSize)))
	}
	add("Size", fmt.Sprintf("%s (%s bytes)", Bytes(i.Bytes), count(i.Bytes)))
	if !i.Verified.IsZero() {
		add("Read back and hashed", moment(i.Verified))
	}
	code("Evidence", printable(m.Identity.EvidenceID))
	if m.Identity.RootID != m.Identity.EvidenceID {
		code("Made from", printable(m.Identity.RootID))
	}
	add("Kept in", strings.TrimPrefix(escape(m.Location.Store+"/"+m.Location.Name, maxPath), "/"))
	code("Version", printable(i.Written))
	add("Landed", moment(m.Acquisition.Landed))
	add("Landed at", escape(m.Location.LandedAt, maxPath))
	code("Session", escape(m.Acquisition.Session, maxPath))
	if m.Acquisition.StopReason != "" {
		add("Stopped because", printableText(m.Acquisition.StopReason))
	}
	for _, e := range m.Acquisition.AgentErrors[:min(len(m.Acquisition.AgentErrors), 5)] {
		add("Agent reports", printableText(e))
	}
	if c := m.Acquisition.Clock; !c.Storage.IsZero() {
		add("Clock", fmt.Sprintf("%+d ms against the storage service's", c.SkewMS))
	}
	t := m.Acquisition.Tool
	add("Program", strings.TrimSpace(printable(t.Name)+" "+printable(t.Version)+" "+printable(t.Go)))
	code("Commit", printable(t.Commit))
	code("SHA-256 of the program", printable(t.SHA256))
	code("SHA-256 of the policy", printable(m.Authority.PolicyHash))
	add("Classification", printable(m.Disposition.Classification))
	if !m.Disposition.DeleteAfter.IsZero() {
		add("Deleted after", moment(m.Disposition.DeleteAfter))
	}
	for n, c := range m.Custody {
		if n == maxTransfers {
			v.Left = len(m.Custody) - n
			break
		}
		row := transfer{
			Sequence: fmt.Sprint(c.Sequence), At: c.At.UTC().Format(momentLayout), Actor: escape(c.Actor, maxPath), Action: printable(c.Action),
			Outcome: printableText(c.Outcome),
		}
		if c.Reason != "" {
			row.Outcome = strings.TrimPrefix(row.Outcome+"; "+printableText(c.Reason), "; ")
		}
		if c.To != "" {
			row.Outcome = strings.TrimPrefix(row.Outcome+"; to "+escape(c.To, maxPath), "; ")
		}
		v.Transfers = append(v.Transfers, row)
	}
	for _, d := range m.Derived[:min(len(m.Derived), maxDerived)] {
		v.Derived = append(v.Derived, derived{
			Kind: printable(string(d.Kind)), Name: strings.TrimPrefix(escape(d.Store+"/"+d.Name, maxPath), "/"), Bytes: Bytes(d.Bytes), SHA256: printable(d.SHA256),
			Note: strings.TrimSpace(printableText(strings.Join(d.Transforms, ", ")) + " " + printableText(d.Note)),
		})
	}
	return v
}
