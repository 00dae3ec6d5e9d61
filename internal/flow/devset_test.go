package flow_test

import (
	"errors"
	"io"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
)

// analyze runs a capture through a table.
func analyze(t testing.TB, capture io.Reader, table *flow.Table) flow.Counters {
	t.Helper()
	r, err := pcap.NewReader(capture)
	if err != nil {
		t.Fatal(err)
	}
	var d packet.Decoder
	var p packet.Packet
	var hello sniffer
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if _, ok := errors.AsType[*pcap.FormatError](err); ok {
			break // the rest of the file is damaged
		}
		if err != nil {
			t.Fatal(err)
		}
		d.Decode(rec, &p)
		hello.see(table, table.Add(&p))
	}
	return table.Finish()
}

// A sniffer is as much of a TLS reader as the phases of RSTs need: it tells
// connections which handshake messages passed.
type sniffer struct{}

// A talk is what the sniffer knows of a connection.
type talk [2]struct {
	records   []byte // not read yet
	messages  []byte // handshake bytes not read yet
	encrypted bool   // after ChangeCipherSpec
	not       bool   // TLS
}

func (sniffer) see(table *flow.Table, seg *flow.Segment) {
	if seg.Conn == nil || len(seg.Stream) == 0 {
		return
	}
	if seg.Conn.Attached == nil {
		seg.Conn.Attached = new(talk)
	}
	side := &seg.Conn.Attached.(*talk)[seg.From]
	if side.not {
		return
	}
	table.Extend(seg.Conn, seg.From)
	for _, chunk := range seg.Stream {
		side.records = append(side.records, chunk...)
	}
	if r := side.records; len(r) >= 3 && r[0]&0x80 != 0 && r[2] == 1 {
		seg.Conn.SawHandshake(seg.From, 1) // as SSL 2.0 clients say hello
		side.not = true
		return
	}
	for len(side.records) >= 5 {
		kind, version := side.records[0], side.records[1]
		if kind < 20 || kind > 23 || version != 3 {
			side.not = true
			table.Stop(seg.Conn, seg.From)
			return
		}
		n := 5 + int(side.records[3])<<8 + int(side.records[4])
		if len(side.records) < n {
			return
		}
		switch {
		case kind == 20:
			side.encrypted = true
		case kind == 22 && !side.encrypted:
			side.messages = append(side.messages, side.records[5:n]...)
		}
		side.records = side.records[n:]
		for len(side.messages) >= 4 {
			n := 4 + int(side.messages[1])<<16 + int(side.messages[2])<<8 + int(side.messages[3])
			seg.Conn.SawHandshake(seg.From, side.messages[0])
			side.messages = side.messages[min(n, len(side.messages)):]
		}
	}
}

// TestDevset holds all TCP counters against tshark 4.0.17.
func TestDevset(t *testing.T) {
	for _, file := range devset.Files(t) {
		t.Run(file.Name(), func(t *testing.T) {
			var want struct{ TCP flow.Counters }
			file.Truth(t, &want)
			got := analyze(t, file.Open(t), flow.NewTable(flow.Limits{}))
			if want.TCP.AckRTT != nil && got.AckRTT != nil {
				want.TCP.AckRTT.Min = got.AckRTT.Min // not in the truth
			}
			// tshark prints seconds with six or nine digits: the times
			// are as good as that.
			close := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 0.0021+1e-3*math.Abs(a) })
			if diff := cmp.Diff(want.TCP, got, close, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("counters (-tshark +flow):\n%s", diff)
			}
		})
	}
}
