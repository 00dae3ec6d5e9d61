package analysis

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/verdict"
)

// finish closes what is open and judges. damage is why the file could not be
// read to its end; what was read before stays true.
func (e *engine) finish(file pcap.Summary, damage error) *Analysis {
	s := &e.summary
	s.Packets, s.Bytes, s.CutShort, s.SnapLength = file.Packets, file.Bytes, file.CutShort, file.SnapLength
	s.Dropped, s.Damage = int64(file.Dropped), damage
	counters, limits := e.protocols.finish(s)
	if e.run.Wants.End != nil {
		e.run.Wants.End(s)
	}
	limits.drop("findings", e.run.Dropped)
	limits.drop("events that detectors did not tell apart", e.run.Left())
	headers := e.decoder.Counters()
	limits.drop("ip fragments", headers.FragmentsPushed)
	limits.drop("packets in too many tunnels", headers.DepthCapped)
	a := &Analysis{
		Schema: Schema,
		Capture: Capture{
			File: e.options.File, Readable: true, Format: string(file.Format), LinkType: linkTypes(file.LinkTypes),
			Bytes: file.Bytes, Packets: file.Packets, SnapLength: file.SnapLength, TruncatedPackets: s.Truncated,
			CutShort: file.CutShort, Dropped: s.Dropped,
		},
		Counters:      counters,
		Findings:      graded(e.run.Sorted(), e.options.Severities),
		Conversations: e.protocols.talks.busiest(),
		Limits:        limits,
	}
	if damage != nil {
		a.Capture.Error = damage.Error()
	}
	if s.First != 0 {
		a.Capture.FirstPacket, a.Capture.LastPacket = s.First.Time(), s.Last.Time()
	}
	a.Vantage = e.protocols.witness.Vantage(e.options.Vantage)
	a.Series = e.protocols.series.Series()
	a.Services = e.protocols.services.List(MaxServices, a.Vantage.Addresses)
	a.Verdict = verdict.Judge(a.Findings, e.facts(a))
	a.Ladders = e.protocols.ladders.choose(a.Findings, a.Verdict.Findings)
	return a
}

// graded gives findings the severities that somebody chose for their kinds.
func graded(all []finding.Finding, severities map[finding.Kind]finding.Severity) []finding.Finding {
	if len(severities) == 0 {
		return all
	}
	for i := range all {
		if s, ok := severities[all[i].Kind]; ok {
			all[i].Severity = s
		}
	}
	slices.SortStableFunc(all, func(a, b finding.Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	return all
}

func linkTypes(all []pcap.LinkType) string {
	var names []string
	for _, t := range all {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

func (l *Limits) drop(what string, n int64) {
	if n <= 0 {
		return
	}
	l.Hit = true
	if l.Dropped == nil {
		l.Dropped = map[string]int64{}
	}
	l.Dropped[what] += n
}

// facts are what a verdict knows beside the findings.
func (e *engine) facts(a *Analysis) verdict.Facts {
	f := e.protocols.facts
	f.Context, f.Vantage, f.Services = e.options.Context, a.Vantage, a.Services
	f.Packets, f.Truncated, f.ShortestCut = a.Capture.Packets, e.summary.Truncated, e.summary.ShortestCut
	f.Dropped, f.CutShort, f.LimitHit = a.Capture.Dropped, a.Capture.CutShort, a.Limits.Hit
	f.Unreadable, f.LinkTypes = e.decoder.Counters().Undecodable, a.Capture.LinkType
	f.First, f.Last, f.TCP = a.Capture.FirstPacket, a.Capture.LastPacket, &a.Counters.TCP
	return f
}
