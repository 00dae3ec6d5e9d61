package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// headlines say a cause as a person would.
var headlines = map[analysis.Cause]string{
	analysis.Healthy:         "The traffic looks healthy",
	analysis.NoTraffic:       "The capture holds no traffic",
	analysis.ConnectBlocked:  "Connection attempts get no answer",
	analysis.ConnectRefused:  "Connections are refused",
	analysis.Reset:           "Connections are reset",
	analysis.IdleTimeout:     "Idle connections are dropped",
	analysis.TLSRejected:     "The TLS handshake is rejected",
	analysis.DNSUnreachable:  "A DNS resolver does not answer",
	analysis.DNSFailure:      "Names are not resolved",
	analysis.SlowDNS:         "DNS answers come late",
	analysis.PacketLoss:      "Packets are lost on the way",
	analysis.Reordering:      "Packets arrive out of order",
	analysis.ReceiverStalled: "A receiver stops reading",
	analysis.SlowServer:      "The server answers slowly",
	analysis.SlowNetwork:     "The network is slow",
	analysis.SlowClient:      "The client is slow",
	analysis.MTUBlackhole:    "Large packets disappear on the way",
	analysis.Asymmetric:      "Only one direction is visible",
	analysis.ICMPUnreachable: "A destination is reported unreachable",
	analysis.ConnectionChurn: "Connections are opened and closed too often",
	analysis.Suspicious:      "The traffic looks suspicious",
	analysis.Exposure:        "Credentials travel in the clear",
	analysis.Inconclusive:    "The capture does not show the cause",
}

func headline(a *analysis.Analysis) string {
	if !a.Capture.Readable {
		return "The file could not be read"
	}
	if s, ok := headlines[a.Verdict.Cause]; ok {
		return s
	}
	return printable(string(a.Verdict.Cause))
}

var culprits = map[finding.Culprit]string{
	finding.Client:    "the client",
	finding.Server:    "the server",
	finding.Network:   "the network",
	finding.Resolver:  "the DNS resolver",
	finding.Firewall:  "a firewall",
	finding.Middlebox: "a device in between",
	finding.Capture:   "the capture itself",
	finding.None:      "nobody",
	finding.Unknown:   "not known",
	"":                "not known",
}

func culpritWords(c finding.Culprit) string {
	if s, ok := culprits[c]; ok {
		return s
	}
	return printable(string(c))
}

// blames reports whether c is somebody.
func blames(c finding.Culprit) bool {
	return c != finding.None && c != finding.Unknown && c != ""
}

// address is that of c in a flow, when the flow names it.
func address(c finding.Culprit, f *finding.Flow) string {
	switch {
	case f == nil, c == finding.Client && f.Client.IsZero():
	case c == finding.Client:
		return f.Client.Addr().String() // its port says nothing
	case c == finding.Server, c == finding.Resolver:
		return f.Server.String()
	}
	return ""
}

// sureness says a confidence as a number and in words.
func sureness(c float64) string {
	words := "a guess"
	switch {
	case c >= .995:
		words = "certain"
	case c >= .95:
		words = "almost certain"
	case c >= .8:
		words = "very likely"
	case c >= .6:
		words = "likely"
	case c >= .4:
		words = "possible"
	}
	return fmt.Sprintf("%.0f %%, %s", c*100, words)
}

// A tone is how the page shows how bad it is: a colour, an icon and a word.
type tone string

const (
	healthy   tone = "healthy"
	warning   tone = "warning"
	fault     tone = "fault"
	undecided tone = "undecided"
)

var toneWords = map[tone]string{healthy: "Healthy", warning: "Warning", fault: "Fault", undecided: "No verdict"}

func toneOf(a *analysis.Analysis) tone {
	switch a.Verdict.Cause {
	case analysis.NoTraffic, analysis.Inconclusive:
		return undecided
	case analysis.Healthy:
		return healthy
	}
	f := deciding(a)
	switch {
	case !a.Capture.Readable:
		return undecided
	case f != nil && f.Severity <= finding.Medium:
		return warning
	}
	return fault
}

// deciding is the finding that made the verdict, or nil.
func deciding(a *analysis.Analysis) *finding.Finding {
	for _, i := range a.Verdict.Findings {
		if i >= 0 && i < len(a.Findings) {
			return &a.Findings[i]
		}
	}
	return nil
}

// incomplete says why the capture is not all that there was, a sentence each.
func incomplete(a *analysis.Analysis) []string {
	c := a.Capture
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if c.Readable && c.Error != "" {
		note("Reading stopped early: %s.", strings.TrimSuffix(printableText(c.Error), "."))
	} else if c.CutShort {
		note("The file ends in the middle of a packet.")
	}
	if c.TruncatedPackets > 0 {
		at := ""
		if c.SnapLength > 0 {
			at = fmt.Sprintf(" (snap length %d bytes)", c.SnapLength)
		}
		note("%s cut short%s.", verb(c.TruncatedPackets, "packet", "is", "are"), at)
	}
	if c.Dropped > 0 {
		note("The capturing machine dropped %s.", times(c.Dropped, "packet"))
	}
	if a.Limits.Hit {
		note("A limit of the analysis was reached, and the findings are about a part of the capture. Left out: %s.", dropped(a.Limits))
	}
	return notes
}

func verb(n int64, what, one, many string) string {
	if n == 1 {
		return times(n, what) + " " + one
	}
	return times(n, what) + " " + many
}

func dropped(l analysis.Limits) string {
	var parts []string
	for _, what := range sortedKeys(l.Dropped) {
		parts = append(parts, fmt.Sprintf("%d %s", l.Dropped[what], printable(what)))
	}
	if len(parts) == 0 {
		return "not counted"
	}
	return strings.Join(parts, ", ")
}

// flowPieces are flowText with the name marked.
func flowPieces(f *finding.Flow) []piece {
	bare := *f
	bare.SNI = ""
	out := []piece{{Text: flowText(&bare)}}
	if f.SNI != "" {
		out = append(out, piece{" (", false}, piece{name(f.SNI), true}, piece{")", false})
	}
	return out
}

func flowText(f *finding.Flow) string {
	parts := []string{strings.ToUpper(printable(f.Protocol)), f.Client.String()}
	if !f.Server.IsZero() {
		parts = append(parts, "to", f.Server.String())
	}
	if f.SNI != "" {
		parts = append(parts, "("+name(f.SNI)+")")
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

func packets(numbers []int64) string {
	var b strings.Builder
	for i, n := range numbers {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, n)
	}
	return b.String()
}
