package analysis

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/detect/suite"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/service"
)

// Options are what is known of a capture beside its packets.
type Options struct {
	File string // its name, for the document
	detect.Context
	Detectors []*detect.Detector // nil: the suite's
	// Severities are how severe somebody takes kinds of findings, in place of
	// their detectors.
	Severities map[finding.Kind]finding.Severity
}

// between is how many packets are read before somebody asks whether to go on.
const between = 8192

// Run reads a capture to its end, or to where it can't be read on, and says
// what it shows. It takes any bytes: what is no capture gives an analysis that
// says so. An error is the source's or the context's.
//
// Time and memory are bounded by the number of packets, the Limits of the
// packages below, and nothing in the capture.
func Run(ctx context.Context, src io.Reader, o Options) (*Analysis, error) {
	if o.Detectors == nil {
		o.Detectors = suite.Default
	}
	r, err := pcap.NewReader(src)
	if format, ok := errors.AsType[*pcap.FormatError](err); ok {
		a := Unreadable(o.File, format)
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	e := newEngine(o)
	for n := 0; ; n++ {
		if n%between == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		rec, err := r.Next()
		if err != nil {
			if _, damaged := errors.AsType[*pcap.FormatError](err); err != io.EOF && !damaged {
				return nil, err
			} else if damaged {
				return e.finish(r.Summary(), err), nil
			}
			return e.finish(r.Summary(), nil), nil
		}
		e.add(rec)
	}
}

// Unreadable is the analysis of a file that is no capture.
func Unreadable(file string, cause error) *Analysis {
	f := finding.Finding{
		Kind: "capture.unreadable", Severity: finding.Medium, Confidence: 1, Culprit: finding.Capture, Count: 1, Packets: []int64{},
		Summary:  fmt.Sprintf("The file cannot be read as a capture: %v.", cause),
		NextStep: "Look at who wrote the file. A capture that another tool can open may be converted with editcap -F pcap.",
	}
	return &Analysis{
		Schema:        Schema,
		Capture:       Capture{File: file, Error: cause.Error(), Format: string(pcap.FormatUnknown)},
		Counters:      emptyCounters(),
		Findings:      []finding.Finding{f},
		Conversations: []Conversation{},
		Ladders:       []Ladder{},
		Services:      []service.Service{},
		Verdict: Verdict{
			Cause: Inconclusive, Culprit: finding.Capture, Confidence: 1, Findings: []int{0},
			Summary:  "There is nothing to judge: " + f.Summary,
			NextStep: f.NextStep,
		},
	}
}

// engine is one reading of one capture.
type engine struct {
	options   Options
	decoder   packet.Decoder
	packet    packet.Packet
	protocols *protocols
	run       *detect.Run
	summary   detect.Summary
}

func newEngine(o Options) *engine {
	e := &engine{options: o}
	e.run = detect.Start(o.Context, o.Detectors)
	e.protocols = newProtocols(e.run)
	return e
}

func (e *engine) add(rec *pcap.Record) {
	if rec.Time != 0 {
		if e.summary.First == 0 || rec.Time < e.summary.First {
			e.summary.First = rec.Time
		}
		e.summary.Last = max(e.summary.Last, rec.Time)
	}
	if n := len(rec.Data); n < rec.Length {
		if e.summary.Truncated == 0 || n < e.summary.ShortestCut {
			e.summary.ShortestCut = n
		}
		e.summary.Truncated++
	}
	p := &e.packet
	e.decoder.Decode(rec, p)
	e.protocols.add(p)
}
