// Package beacon detects connections that are opened, or tried, at regular
// intervals.
package beacon

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Detector reports regular connections. A capture of minutes cannot say what
// RITA says of a day, so it says how many intervals it saw.
var Detector = &detect.Detector{
	Name: "beacon",
	Reports: []detect.Reported{{
		Kind:      "traffic.beacon",
		Means:     "One machine opens connections to the same service at even intervals, as heartbeats, agents and malware do.",
		Threshold: "at least 6 connections, intervals above 0.5 s, 1 - MAD/median of at least 0.9 (after RITA's time score), over at least 5 intervals",
		Next:      "Look the client up in the inventory: which software does it run that calls at this interval? An unknown one is for security operations.",
	}},
	Start: start,
}

const (
	minConnections = 6
	minInterval    = 500 * time.Millisecond
	minScore       = 0.9
	maxKept        = 512 // connections of one pair that are timed
)

// Azure's own services, which every machine talks to at intervals.
// https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
var platform = []netip.Addr{netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("169.254.169.254")}

type pair struct {
	client netip.Addr
	server netip.AddrPort
}

type calls struct {
	detect.Tally
	at      []pcap.Timestamp
	refused int
	silent  int
}

func start(p *detect.Pass) detect.Hooks {
	var pairs detect.Groups[pair, calls]
	return detect.Hooks{
		Connection: func(c *detect.Connection) {
			if !c.FirstSYN.Seen() || slices.Contains(platform, c.ServerAddr().Addr()) {
				return
			}
			k := pairs.At(pair{c.ClientAddr().Addr(), c.ServerAddr()})
			if k == nil || len(k.at) == maxKept {
				return
			}
			k.Add(c.FirstSYN.Time, c.FirstSYN.Frame)
			k.at = append(k.at, c.FirstSYN.Time)
			switch {
			case c.RST().Seen() && c.RST().Phase == flow.AfterSYN:
				k.refused++
			case c.OneWay():
				k.silent++
			}
		},
		End: func(*detect.Summary) {
			for k, c := range pairs.All {
				if f, ok := judge(k, c); ok {
					p.Report(c.Into(f))
				}
			}
		},
	}
}

func judge(k pair, c *calls) (finding.Finding, bool) {
	// What is sent again when nobody answers has the intervals of a timer of
	// TCP, not of an application.
	if len(c.at) < minConnections || c.silent > len(c.at)/2 {
		return finding.Finding{}, false
	}
	slices.Sort(c.at)
	intervals := make([]time.Duration, 0, len(c.at)-1)
	for i := 1; i < len(c.at); i++ {
		intervals = append(intervals, c.at[i].Sub(c.at[i-1]))
	}
	middle := median(intervals)
	if middle < minInterval {
		return finding.Finding{}, false
	}
	deviations := make([]time.Duration, 0, len(intervals))
	for _, d := range intervals {
		deviations = append(deviations, (d - middle).Abs())
	}
	score := 1 - float64(median(deviations))/float64(middle)
	span := c.at[len(c.at)-1].Sub(c.at[0])
	if score < minScore || span < 5*middle {
		return finding.Finding{}, false
	}
	f := finding.Finding{
		Kind: "traffic.beacon", Severity: finding.Medium, Confidence: min(0.95, score*float64(min(len(intervals), 20))/20+0.3), Culprit: finding.Client,
		Flow: &finding.Flow{
			Protocol: "tcp", Client: finding.Endpoint{AddrPort: netip.AddrPortFrom(k.client, 0)}, Server: finding.Endpoint{AddrPort: k.server},
		},
		Summary: fmt.Sprintf("%s opens a connection to %s every %v: %d times, %d intervals, evenness %.2f.",
			k.client, k.server, middle.Round(10*time.Millisecond), len(c.at), len(intervals), score),
		Detail: map[string]any{
			"intervalSeconds": float64(middle.Round(time.Millisecond)) / 1e9, "intervals": len(intervals),
			"connections": len(c.at), "refused": c.refused, "score": float64(int(score*1000)) / 1000,
		},
	}
	if c.refused == len(c.at) {
		f.Severity = finding.Low
		f.Summary = fmt.Sprintf("%s tries to connect to %s every %v, %d times, and is refused each time: an automatic client, not a person.",
			k.client, k.server, middle.Round(10*time.Millisecond), len(c.at))
	}
	return f, true
}

func median(all []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(all))
	n := len(s)
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}
