package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
)

// TestTextSaysWhatWasLeftOut: nobody takes a part of a capture for all of it.
func TestTextSaysWhatWasLeftOut(t *testing.T) {
	a := &analysis.Analysis{
		Capture: analysis.Capture{File: "flood.pcap", Readable: true, Packets: 9},
		Limits:  analysis.Limits{Hit: true, Dropped: map[string]int64{"connections": 1434, "ip fragments": 7}},
	}
	var out bytes.Buffer
	if err := Text(&out, a); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	if !strings.Contains(text, "Left out: 1434 connections, 7 ip fragments.") {
		t.Errorf("the text does not say what was left out:\n%s", out.String())
	}
}
