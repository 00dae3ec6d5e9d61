package excerpt

import (
	"fmt"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// ForFinding returns the options for the packets that prove the finding with
// this index: each has a comment that says what it is, where a ladder of the
// analysis tells, and for which finding it stands. A finding may name no
// packets.
func ForFinding(a *analysis.Analysis, index int) Options {
	f := a.Findings[index]
	o := Options{
		Packets:  f.Packets,
		Comments: make(map[int64]string, len(f.Packets)),
		About:    pcap.Section{Comment: fmt.Sprintf("Excerpt: the packets of finding %s, and the handshakes of their connections", f.Kind)},
	}
	if a.Capture.SHA256 != "" {
		o.About.Comment += "; of the capture with SHA-256 " + a.Capture.SHA256
	}
	for _, n := range f.Packets {
		o.Comments[n] = "finding " + string(f.Kind)
	}
	for _, l := range a.Ladders {
		for _, s := range l.Steps {
			if _, named := o.Comments[s.Packet]; !named || s.Label == "" {
				continue
			}
			by := "server"
			if s.From == 0 {
				by = "client"
			}
			o.Comments[s.Packet] = fmt.Sprintf("%s by the %s, finding %s", s.Label, by, f.Kind)
		}
	}
	return o
}
