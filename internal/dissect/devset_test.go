package dissect_test

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pcapwarden/pcapwarden/internal/dissect"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
)

// run reads a capture. It returns nil if the file is none.
func run(t testing.TB, capture io.Reader, events dissect.Events) (*dissect.Dissector, flow.Counters) {
	t.Helper()
	r, err := pcap.NewReader(capture)
	if _, ok := errors.AsType[*pcap.FormatError](err); ok {
		return nil, flow.Counters{}
	}
	if err != nil {
		t.Fatal(err)
	}
	table := flow.NewTable(flow.Limits{})
	d := dissect.New(table, events)
	table.End = func(c *flow.Conn, _ flow.Reason) { d.End(c) }
	table.EndConversation = func(c *flow.Conversation, _ flow.Reason) { d.EndConversation(c) }
	var decoder packet.Decoder
	var p packet.Packet
	var last pcap.Timestamp
	for {
		rec, err := r.Next()
		if err != nil {
			if _, ok := errors.AsType[*pcap.FormatError](err); err != io.EOF && !ok {
				t.Fatal(err)
			}
			break
		}
		decoder.Decode(rec, &p)
		d.Add(&p, table.Add(&p))
		last = max(last, p.Time)
	}
	counters := table.Finish()
	d.Finish(last)
	return d, counters
}

// TestDevset holds the counters of the application protocols, and those of the
// flow that depend on them, against tshark 4.0.17.
func TestDevset(t *testing.T) {
	for _, file := range devset.Files(t) {
		t.Run(file.Name(), func(t *testing.T) {
			var want struct {
				dissect.Counters
				TCP struct {
					Phases  map[string]int64 `json:"first_rst_phase_by"`
					NoHello int64            `json:"client_hello_no_server_hello_streams"`
				} `json:"tcp"`
			}
			file.Truth(t, &want)
			d, counters := run(t, file.Open(t), dissect.Events{})
			if d == nil {
				t.Skip("not a capture format that is read")
			}
			got, err := json.Marshal(counters)
			if err != nil {
				t.Fatal(err)
			}
			have := want
			have.Counters = d.Counters()
			have.TCP.Phases, have.TCP.NoHello = nil, 0
			if err := json.Unmarshal(got, &have.TCP); err != nil {
				t.Fatal(err)
			}
			// Times are rounded to a microsecond, which the median of two is not.
			near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 0.002 })
			if diff := cmp.Diff(want, have, near, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("counters differ from tshark's (-want +got):\n%s", diff)
			}
		})
	}
}
