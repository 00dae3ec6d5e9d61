package incident

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// describe fills in everything but the findings. Without an analysis the
// verdict is that there is none.
func describe(o Origin, a *analysis.Analysis, now time.Time) detection {
	d := detection{
		ActivityID: 1, ActivityName: "Create", CategoryUID: 2, CategoryName: "Findings",
		ClassUID: 2004, ClassName: "Detection Finding", TypeUID: 200401,
		Time: now.UnixMilli(), StatusID: 1,
		Metadata: metadata{
			Version:        ocsfVersion,
			Product:        product{Name: "pcapwarden", VendorName: "pcapwarden", Version: cmp.Or(o.Version, "unknown")},
			CorrelationUID: o.Incident, Profiles: []string{"cloud"},
		},
		FindingInfo: findingInfo{
			Analytic:    analytic{Name: "pcapwarden", UID: analysis.Schema, TypeID: 1},
			CreatedTime: now.UnixMilli(),
		},
		Evidences: []evidence{}, Observables: []observable{}, Resources: []resource{},
		Cloud: cloud{Provider: "Azure", Account: account{UID: o.Subscription}, Region: o.Region},
		Unmapped: unmapped{
			Incident: o.Incident, Case: o.Case, Alert: clip(o.Alert, 500), AlertRule: clip(o.AlertRule, 200), Profile: o.Profile,
			Verdict: verdict{Cause: string(analysis.Inconclusive), Culprit: string(finding.Unknown)},
			Report:  reference(o.Report), Analysis: reference(o.Analysis), Manifest: reference(o.Manifest), Vault: o.Evidence,
		},
	}
	if !o.DeleteAfter.IsZero() {
		d.Unmapped.DeleteAfter = o.DeleteAfter.UTC().Format(time.RFC3339)
	}
	if o.Target != "" {
		r := resource{UID: o.Target, Name: path.Base(o.Target), Type: "Azure virtual machine", Region: o.Region}
		if o.Owner != "" {
			r.Owner = &owner{Name: clip(o.Owner, 200)}
		}
		d.Resources = append(d.Resources, r)
		d.Observables = append(d.Observables, observable{"resources.uid", 10, "Resource UID", o.Target})
	}
	if a == nil {
		return d
	}
	d.Resources = append(d.Resources, around(a, o.Region)...)
	severity := finding.Info
	for _, f := range a.Findings {
		severity = max(severity, f.Severity)
	}
	d.SeverityID, d.Severity = ocsfSeverity(severity)
	d.IsAlert = severity >= finding.Medium
	d.Confidence = int(a.Verdict.Confidence*100 + 0.5)
	d.ConfidenceID = confidenceID(a.Verdict.Confidence)
	d.Message = clip(a.Verdict.Summary, 2000)
	d.FindingInfo.Title = clip(fmt.Sprintf("%s: %s", a.Verdict.Cause, a.Verdict.Culprit), 200)
	d.FindingInfo.Desc = d.Message
	c := a.Capture
	d.Unmapped.Verdict = verdict{
		Cause: string(a.Verdict.Cause), Culprit: string(a.Verdict.Culprit), Summary: d.Message,
		Confidence: a.Verdict.Confidence, NextStep: clip(a.Verdict.NextStep, 1000),
	}
	d.Unmapped.Coverage = coverage{
		Packets: c.Packets, Bytes: c.Bytes, Truncated: c.TruncatedPackets,
		CutShort: c.CutShort, Dropped: c.Dropped, Partial: a.Limits.Hit,
	}
	if !c.FirstPacket.IsZero() {
		d.FindingInfo.FirstSeen, d.FindingInfo.LastSeen = c.FirstPacket.UnixMilli(), c.LastPacket.UnixMilli()
		d.Unmapped.Coverage.First = c.FirstPacket.UTC().Format(time.RFC3339Nano)
		d.Unmapped.Coverage.Last = c.LastPacket.UTC().Format(time.RFC3339Nano)
	}
	f := evidence{
		Name: "capture",
		Data: proof{
			Summary: fmt.Sprintf("%d packets, %d bytes", c.Packets, c.Bytes), Severity: finding.Info.String(),
			Confidence: 1, Culprit: string(finding.None), Count: 1, Packets: []int64{},
		},
		File: &file{Name: clip(path.Base(c.File), 200), TypeID: 1, Size: c.Bytes},
	}
	if c.SHA256 != "" {
		f.File.Hashes = []hash{{3, "SHA-256", c.SHA256}}
		d.Observables = append(d.Observables, observable{"evidences.file.hashes.value", 8, "Hash", c.SHA256})
	}
	d.Evidences = append(d.Evidences, f)
	return d
}

// around are the network interfaces and subnets of the deciding flows, as far
// as Azure was asked about them.
func around(a *analysis.Analysis, region string) []resource {
	var all []resource
	if a.Context == nil {
		return nil
	}
	for _, f := range a.Context.Flows[:min(len(a.Context.Flows), controlplane.MaxFlows)] {
		for _, r := range []resource{{UID: f.Interface, Type: "Azure network interface"}, {UID: f.Subnet, Type: "Azure subnet"}} {
			r.UID, r.Region = clip(r.UID, 512), region
			r.Name = path.Base(r.UID)
			if r.UID != "" && !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	return all
}

func prove(f *finding.Finding) evidence {
	e := evidence{
		Name: string(f.Kind),
		Data: proof{
			Summary: clip(f.Summary, 1000), Severity: f.Severity.String(), Confidence: f.Confidence,
			Culprit: string(f.Culprit), Count: f.Count, Packets: f.Packets, Detail: f.Detail, NextStep: clip(f.NextStep, 500),
		},
	}
	if e.Data.Packets == nil {
		e.Data.Packets = []int64{}
	}
	if f.Flow != nil {
		e.Connection = &connection{ProtocolName: f.Flow.Protocol}
		if !f.Flow.Client.IsZero() {
			e.Source = &endpoint{IP: f.Flow.Client.Addr().String(), Port: f.Flow.Client.Port()}
		}
		if !f.Flow.Server.IsZero() {
			e.Dest = &endpoint{IP: f.Flow.Server.Addr().String(), Port: f.Flow.Server.Port(), Name: clip(f.Flow.SNI, 255)}
		}
	}
	return e
}

// maxObservables bounds what a scan's worth of addresses adds.
const maxObservables = 50

func observe(all []observable, f *finding.Finding) []observable {
	add := func(o observable) {
		if len(all) < maxObservables && !slices.Contains(all, o) {
			all = append(slices.Clip(all), o)
		}
	}
	if f.Flow == nil {
		return all
	}
	for _, a := range []netip.Addr{f.Flow.Client.Addr(), f.Flow.Server.Addr()} {
		if a.IsValid() {
			add(observable{"evidences.endpoint.ip", 2, "IP Address", a.String()})
		}
	}
	if f.Flow.SNI != "" {
		add(observable{"evidences.dst_endpoint.hostname", 1, "Hostname", clip(f.Flow.SNI, 255)})
	}
	return all
}

// techniques maps kinds to MITRE ATT&CK, where one fits.
var techniques = map[finding.Kind]attack{
	"traffic.scan": {
		Version: "17.1", Tactic: named{"Discovery", "TA0007"}, Technique: named{"Network Service Discovery", "T1046"},
	},
	"exposure.cleartext-credentials": {
		Version: "17.1", Tactic: named{"Credential Access", "TA0006"}, Technique: named{"Network Sniffing", "T1040"},
	},
}

func ocsfSeverity(s finding.Severity) (id int, name string) {
	return int(s) + 1, [...]string{"Informational", "Low", "Medium", "High", "Critical"}[s]
}

func confidenceID(c float64) int {
	switch {
	case c >= 0.8:
		return 3
	case c >= 0.5:
		return 2
	}
	return 1
}
