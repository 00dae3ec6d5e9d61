package pcap

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// netMonFile is a NetMon file of version 2.minor that starts on 2010-03-18 at
// 11:42:15.790, with a frame every millisecond.
func netMonFile(minor byte, frames ...string) []byte {
	le := binary.LittleEndian
	var body []byte
	var table []byte
	for i, data := range frames {
		table = le.AppendUint32(table, uint32(netMonHeaderLength+len(body)))
		body = le.AppendUint64(body, uint64(i*1000))
		body = le.AppendUint32(body, uint32(len(data)+10))
		body = le.AppendUint32(body, uint32(len(data)))
		body = append(body, data...)
		if trailer := []int{0, 2, 6, 15}[minor]; trailer > 0 {
			body = append(body, 1, 0) // Ethernet
			body = append(body, make([]byte, trailer-2)...)
		}
	}
	h := append([]byte("GMBU"), minor, 2, 1, 0)
	for _, n := range []uint16{2010, 3, 4, 18, 11, 42, 15, 790} {
		h = le.AppendUint16(h, n)
	}
	h = le.AppendUint32(h, uint32(netMonHeaderLength+len(body)))
	h = le.AppendUint32(h, uint32(len(table)))
	h = append(h, make([]byte, netMonHeaderLength-len(h))...)
	return slices.Concat(h, body, table)
}

func TestNetMon(t *testing.T) {
	want := []string{`1 1268912535790000000 ethernet 15 "first"`, `2 1268912535791000000 ethernet 16 "second"`, "end"}
	for minor := range byte(4) {
		file := netMonFile(minor, "first", "second")
		got, sum := dump(bytes.NewReader(append(bytes.Clone(file), "comments"...)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("version 2.%d: packets(-want +got):\n%s", minor, diff)
		}
		if sum.Format != FormatNetMon || sum.Resolution != time.Microsecond || sum.CutShort {
			t.Errorf("version 2.%d: Summary() = %+v", minor, sum)
		}
	}

	le := binary.LittleEndian
	damage := []struct {
		name   string
		change func(file []byte)
		want   []string
	}{
		{"table_tells_another_order", func(f []byte) {
			table := f[le.Uint32(f[24:]):]
			a, b := le.Uint32(table), le.Uint32(table[4:])
			le.PutUint32(table, b)
			le.PutUint32(table[4:], a)
		}, []string{want[0], want[1], "damaged"}},
		{"table_lists_fewer_frames", func(f []byte) { le.PutUint32(f[28:], 4) }, []string{want[0], "end"}},
		{"frame_runs_into_the_table", func(f []byte) { le.PutUint32(f[128+12:], 40) }, []string{"damaged"}},
		{"frame_of_4_GB", func(f []byte) { le.PutUint32(f[128+12:], 0xffffffff) }, []string{"damaged"}},
		{"table_before_the_frames", func(f []byte) { le.PutUint32(f[24:], 4) }, []string{"unrecognised"}},
		{"table_of_4_GB", func(f []byte) { le.PutUint32(f[28:], 0xfffffffc) }, []string{"unrecognised"}},
		{"version_3", func(f []byte) { f[5] = 3 }, []string{"unrecognised"}},
		{"time_in_month_99", func(f []byte) { le.PutUint16(f[8:], 65535) }, []string{`1 0 ethernet 15 "first"`, `2 0 ethernet 16 "second"`, "end"}},
		{"unknown_link", func(f []byte) { le.PutUint16(f[6:], 0xffe1) }, []string{`1 1268912535790000000 none 15 "first"`, `2 1268912535791000000 none 16 "second"`, "end"}},
	}
	for _, test := range damage {
		t.Run(test.name, func(t *testing.T) {
			file := netMonFile(0, "first", "second")
			test.change(file)
			got, _ := dump(bytes.NewReader(file))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("packets(-want +got):\n%s", diff)
			}
		})
	}
}
