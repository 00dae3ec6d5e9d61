package redact

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
	"github.com/pcapwarden/pcapwarden/test/tshark"
)

// recordings are this repository's captures, and the captures of others that
// lie beside it on some machines.
func recordings(t testing.TB) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"../analysis/testdata/lab/*.pcap", "../local/scenario/recordings/*.pcap"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no recordings in %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	for _, f := range devset.AtHand(t) {
		files = append(files, f.Path)
	}
	return files
}

// TestNothingLeaks redacts every capture at hand and looks for what was in it.
func TestNothingLeaks(t *testing.T) {
	if !tshark.Installed() {
		t.Log("no tshark on this machine to open the derivatives with")
	}
	var compared, total atomic.Int64
	files := recordings(t)
	t.Cleanup(func() {
		t.Logf("%d captures, counters compared in %d", total.Load(), compared.Load())
		if compared.Load() < 50 {
			t.Errorf("the counters of %d captures were compared, want more", compared.Load())
		}
	})
	for i, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			record, err := Run(t.Context(), bytes.NewReader(source), &out, Options{Key: referenceKey, HidePlatform: true})
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(record)
			if err != nil {
				t.Fatal(err)
			}
			dropped := int64(0)
			for _, n := range record.Dropped {
				dropped += n
			}
			total.Add(1)
			if record.Output.Packets+dropped != record.WasDerivedFrom.Packets {
				t.Errorf("%d packets kept and %d dropped of %d", record.Output.Packets, dropped, record.WasDerivedFrom.Packets)
			}
			before := collect(packets(source))
			before.addresses(t, out.Bytes())
			before.addresses(t, text)
			before.payload(t, out.Bytes())
			frames(t, source)
			for _, rec := range packets(out.Bytes()) {
				before.mustNotShare(t, &rec)
			}
			// Where nothing was dropped the TCP analysis sees the same.
			if dropped == 0 {
				compared.Add(1)
				if diff := cmp.Diff(counters(t, source), counters(t, out.Bytes())); diff != "" {
					t.Errorf("TCP counters(-source +derivative):\n%s", diff)
				}
			}
			// Starting tshark takes longer than all else; our own recordings
			// are much alike.
			if ours := strings.HasPrefix(file, "../analysis"); tshark.Installed() && (!ours || i%8 == 0) {
				opens(t, out.Bytes(), file, record.Output.Packets)
			}
			if t.Failed() || dropped > 0 {
				t.Logf("%d of %d packets kept; dropped: %v", record.Output.Packets, record.WasDerivedFrom.Packets, record.Dropped)
			}
		})
	}
}

// counters returns the TCP counters without the two that look into TLS.
func counters(t *testing.T, capture []byte) flow.Counters {
	t.Helper()
	a, err := analysis.Run(t.Context(), bytes.NewReader(capture), analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := a.Counters.TCP
	c.FirstRSTPhaseBy, c.ClientHelloNoServerHelloStreams = nil, 0
	return c
}

// secrets are what must not be in a derivative.
type secrets struct {
	addrs   map[netip.Addr]bool
	hard    map[[6]byte]bool
	windows map[[8]byte]int64 // eight bytes of payload, and the frame that they are from
}

// collect notes the addresses of frames, at every place that a decoder
// of ours shows one, and the payload.
func collect(all []pcap.Record) *secrets {
	s := &secrets{map[netip.Addr]bool{}, map[[6]byte]bool{}, map[[8]byte]int64{}}
	var d packet.Decoder
	for i := range all {
		var p packet.Packet
		d.Decode(&all[i], &p)
		for _, a := range []netip.Addr{p.Src, p.Dst, p.ICMP.QuotedSrc, p.ICMP.QuotedDst} {
			s.addr(a)
		}
		if all[i].LinkType == pcap.LinkTypeEthernet && len(all[i].Data) >= 14 {
			s.hard[[6]byte(all[i].Data)], s.hard[[6]byte(all[i].Data[6:])] = true, true
			if arp := all[i].Data[14:]; string(all[i].Data[12:14]) == "\x08\x06" && len(arp) >= 28 {
				s.addr(netip.AddrFrom4([4]byte(arp[14:])))
				s.addr(netip.AddrFrom4([4]byte(arp[24:])))
			}
		}
		if p.Protocol != packet.ProtocolTCP && p.Protocol != packet.ProtocolUDP {
			continue
		}
		for j := 0; j+8 <= len(p.Payload); j++ {
			// Bytes that are in any header say nothing: zeros, NOPs, counters.
			if w := [8]byte(p.Payload[j:]); distinct(w[:]) > 4 {
				s.windows[w] = all[i].Number
			}
		}
	}
	return s
}

func (s *secrets) addr(a netip.Addr) {
	if !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Is4() && a.As4()[0] == 127 || a.String() == "255.255.255.255" {
		return
	}
	s.addrs[a] = true
}

func distinct(b []byte) int {
	var seen [256]bool
	n := 0
	for _, c := range b {
		if !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n
}

// addresses looks through raw bytes, in every place: for the text of addresses,
// and for IPv6 and Ethernet addresses in binary. The four bytes of an IPv4
// address turn up by chance in numbers: mustNotShare looks for those.
func (s *secrets) addresses(t *testing.T, out []byte) {
	t.Helper()
	for a := range s.addrs {
		if text := a.String(); len(text) >= 7 && bytes.Contains(out, []byte(text)) {
			t.Errorf("the text of %v is in the derivative", a)
		}
		if a.Is6() && bytes.Contains(out, a.AsSlice()) {
			t.Errorf("%v is in the derivative", a)
		}
	}
	for a := range s.hard {
		if a != [6]byte{} && a[0]&1 == 0 && distinct(a[:]) > 2 && bytes.Contains(out, a[:]) {
			t.Errorf("the Ethernet address %x is in the derivative", a)
		}
	}
}

// payload looks through raw bytes for eight bytes of payload.
func (s *secrets) payload(t *testing.T, out []byte) {
	t.Helper()
	for i := 0; i+8 <= len(out); i++ {
		if frame, ok := s.windows[[8]byte(out[i:])]; ok {
			t.Fatalf("payload of frame %d is in the derivative at %d: %x", frame, i, out[i:i+8])
		}
	}
}

// frames looks through each frame for eight bytes of its own payload, whatever
// they are but eight times the same.
func frames(t *testing.T, source []byte) {
	t.Helper()
	f := &frame{m: newMapper(Options{Key: referenceKey, HidePlatform: true})}
	var d packet.Decoder
	for _, rec := range packets(source) {
		var p packet.Packet
		d.Decode(&rec, &p)
		if p.Protocol != packet.ProtocolTCP && p.Protocol != packet.ProtocolUDP || p.Reassembled || f.rewrite(&rec) != kept {
			continue
		}
		own := map[[8]byte]bool{}
		for i := 0; i+8 <= len(p.Payload); i++ {
			if w := [8]byte(p.Payload[i:]); distinct(w[:]) > 1 {
				own[w] = true
			}
		}
		out := f.b[:f.at]
		for i := 0; i+8 <= len(out); i++ {
			if own[[8]byte(out[i:])] {
				t.Errorf("frame %d has its payload %x at byte %d", rec.Number, out[i:i+8], i)
			}
		}
	}
}

// mustNotShare looks for addresses of four bytes, at every offset of a frame.
func (s *secrets) mustNotShare(t *testing.T, rec *pcap.Record) {
	t.Helper()
	for i := 0; i+4 <= len(rec.Data); i++ {
		a := netip.AddrFrom4([4]byte(rec.Data[i:]))
		if s.addrs[a] && distinct(a.AsSlice()) > 2 {
			t.Errorf("frame %d of the derivative has %v at byte %d", rec.Number, a, i)
		}
	}
}

// opens lets tshark read the derivative: all packets, no word of complaint, and
// not more that is malformed or has wrong checksums than in the source.
func opens(t *testing.T, capture []byte, source string, packets int64) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "derivative.pcap")
	if err := os.WriteFile(file, capture, 0o600); err != nil {
		t.Fatal(err)
	}
	lines, complaint := tshark.Fields(t, file, frameStatus, checked...)
	if complaint != "" {
		t.Errorf("tshark: %s", complaint)
	}
	if int64(len(lines)) != packets {
		t.Errorf("tshark sees %d packets, want %d", len(lines), packets)
	}
	now := faultsOf(lines)
	if now == (faults{}) {
		return
	}
	lines, _ = tshark.Fields(t, source, frameStatus, checked...) // it may be cut
	before := faultsOf(lines)
	for i, what := range []string{"malformed", "the IP checksum of", "the TCP checksum of", "the UDP checksum of", "the ICMP checksum of"} {
		if now[i] > before[i] {
			t.Errorf("tshark calls %s %d frames, and in the source of %d", what, now[i], before[i])
		}
	}
}

var (
	frameStatus = []string{"frame.number", "_ws.malformed", "ip.checksum.status", "tcp.checksum.status", "udp.checksum.status", "icmp.checksum.status", "ip.flags.mf"}
	checked     = []string{"-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"}
)

// faults counts frames: malformed, and those whose checksums are wrong.
type faults [5]int

func faultsOf(lines [][]string) (c faults) {
	for _, f := range lines {
		if f[1] != "" {
			c[0]++
		}
		if fragmented := strings.Contains(f[6], "1"); fragmented {
			continue
		}
		for i := range 4 {
			if slices.Contains(strings.Split(f[2+i], ","), "0") {
				c[1+i]++
			}
		}
	}
	return c
}
