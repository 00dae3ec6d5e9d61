package report

import "github.com/pcapwarden/pcapwarden/internal/analysis"

type verdictView struct {
	Tone       tone
	Word       string
	Headline   string
	By         string // the culprit, when there is one
	Address    string
	Summary    []piece
	NextStep   []piece
	Cause      string
	Confidence string
	Severity   string
	Proof      []proof
}

// A proof is a finding that the verdict rests on, and its packets.
type proof struct {
	Number  int
	Kind    string
	Packets string // "packets 7, 8", the first few
}

func newVerdict(a *analysis.Analysis, r reader) verdictView {
	v := verdictView{
		Tone: toneOf(a), Headline: headline(a),
		Summary: r.prose(a.Verdict.Summary), NextStep: r.prose(a.Verdict.NextStep),
		Cause: printable(string(a.Verdict.Cause)), Confidence: sureness(a.Verdict.Confidence),
	}
	v.Word = toneWords[v.Tone]
	if a.Capture.Readable && blames(a.Verdict.Culprit) {
		v.By = culpritWords(a.Verdict.Culprit)
		if f := deciding(a); f != nil {
			v.Severity = f.Severity.String()
			v.Address = address(a.Verdict.Culprit, f.Flow)
		}
	}
	for _, i := range a.Verdict.Findings {
		if !carded(a, i) || len(v.Proof) == maxProof {
			continue
		}
		f := &a.Findings[i]
		p := proof{Number: i + 1, Kind: printable(string(f.Kind))}
		if n := len(f.Packets); n > 0 {
			p.Packets = plural(n, "packet") + " " + packets(f.Packets[:min(n, 8)])
		}
		v.Proof = append(v.Proof, p)
	}
	return v
}
