package scenario

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/local/agent"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

var update = flag.Bool("update", false, "record the scenarios again; needs root")

// shoot plays a scenario on a stage while the agent captures on each of its
// machines as the product asks it to, and returns the files.
func shoot(t *testing.T, s Scenario, stage *Stage) map[string][]byte {
	t.Helper()
	sessions := map[string]arm.Session{}
	for _, m := range s.Machines {
		session := arm.Session{Addresses: []string{}, Filters: filters(t, s, m.ID)}
		for _, a := range m.Addresses {
			session.Addresses = append(session.Addresses, a.String())
		}
		sessions[m.Name] = session
	}
	return captureAll(t, stage, sessions)
}

func captureAll(t *testing.T, stage *Stage, sessions map[string]arm.Session) map[string][]byte {
	t.Helper()
	var mu sync.Mutex
	files := map[string][]byte{}
	a := agent.New(agent.Options{
		Wire: stage.Wire, Folder: t.TempDir(),
		Land: func(_ context.Context, name string, content io.Reader, _ int64) error {
			b, err := io.ReadAll(content)
			mu.Lock()
			defer mu.Unlock()
			files[name] = b
			return err
		},
	})
	defer a.Close()
	for name, s := range sessions {
		s.ID, s.Name, s.BlobName = name, name, name
		s.TimeLimit, s.TotalBytes = time.Minute, 1<<20
		s.Done = func(o arm.Outcome) {
			if len(o.Errors) > 0 || o.StopReason != arm.StoppedManually {
				t.Errorf("the capture of %s ended with %+v", name, o)
			}
		}
		if err := a.Start(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	steps := 0
	if err := stage.Play(t.Context(), func(string) { steps++ }); err != nil {
		t.Fatal(err)
	}
	if steps == 0 {
		t.Error("nobody said what happens")
	}
	for name := range sessions {
		if err := a.Stop(name); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// check holds a scenario's files to its story.
func check(t *testing.T, s Scenario, files map[string][]byte) {
	t.Helper()
	stories := map[string]map[string]func(*testing.T, []packet.Packet){
		"partner-tls":     {"uplink-01": checkPartner},
		"robot-heartbeat": {"inspect-02": checkHeartbeat},
		"dns-delay":       {"node-17": checkSlowNode, "node-18": checkHealthyNode},
	}
	for machine, check := range stories[s.Name] {
		t.Run(machine, func(t *testing.T) { check(t, decode(t, files[machine])) })
	}
	if len(stories[s.Name]) != len(files) {
		t.Errorf("%d files, want %d", len(files), len(stories[s.Name]))
	}
}

func decode(t *testing.T, file []byte) (all []packet.Packet) {
	t.Helper()
	in, err := pcap.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var d packet.Decoder
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var p packet.Packet
		d.Decode(rec, &p)
		p.Payload = bytes.Clone(p.Payload)
		all = append(all, p)
	}
}

// count counts the packets from one address (or any) to another.
func count(all []packet.Packet, src, dst string, match func(packet.Packet) bool) (n int) {
	for _, p := range all {
		if (src == "" || p.Src.String() == src) && (dst == "" || p.Dst.String() == dst) && match(p) {
			n++
		}
	}
	return n
}

func flags(want packet.TCPFlags) func(packet.Packet) bool {
	return func(p packet.Packet) bool {
		return p.Protocol == packet.ProtocolTCP && p.Flags&(packet.SYN|packet.RST|packet.FIN|packet.ACK) == want
	}
}

func to(protocol uint8, port uint16) func(packet.Packet) bool {
	return func(p packet.Packet) bool { return p.Protocol == protocol && p.DstPort == port }
}

func every(packet.Packet) bool { return true }

func expect(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

func checkPartner(t *testing.T, all []packet.Packet) {
	vm, partner := "10.40.1.4", "203.0.113.9"
	expect(t, "SYN of the partner", count(all, partner, vm, flags(packet.SYN)), 6)
	expect(t, "SYN-ACK of the VM", count(all, vm, partner, flags(packet.SYN|packet.ACK)), 6)
	expect(t, "connections with a RST of the partner", connections(all, partner, func(p packet.Packet) bool { return p.Flags&packet.RST != 0 }), 6)
	expect(t, "RST and FIN of the VM", count(all, vm, "", func(p packet.Packet) bool { return p.Flags&(packet.RST|packet.FIN) != 0 }), 0)
	expect(t, "handshakes with a certificate", connections(all, vm, func(p packet.Packet) bool {
		return bytes.Contains(p.Payload, []byte(serverName))
	}), 6)
	// After its ClientHello the partner says nothing any more.
	expect(t, "data of the partner", count(all, partner, vm, func(p packet.Packet) bool { return len(p.Payload) > 0 }), 6)
	expect(t, "packets outside of the filter", count(all, "198.51.100.20", "", every)+count(all, "", "198.51.100.20", every), 0)
}

// connections counts the ports of src from which, or on the other side to
// which, a matching packet was sent.
func connections(all []packet.Packet, src string, match func(packet.Packet) bool) int {
	seen := map[[2]uint16]bool{}
	for _, p := range all {
		if p.Src.String() == src && match(p) {
			seen[[2]uint16{p.SrcPort, p.DstPort}] = true
		}
	}
	return len(seen)
}

func checkHeartbeat(t *testing.T, all []packet.Packet) {
	vm, legacy := "10.4.1.4", "10.4.0.9"
	expect(t, "packets", len(all), 20)
	expect(t, "SYN of the controller", count(all, legacy, vm, flags(packet.SYN)), 10)
	expect(t, "RST of the VM", count(all, vm, legacy, flags(packet.RST|packet.ACK)), 10)
	expect(t, "SYN of the VM", count(all, vm, "", flags(packet.SYN)), 0)
	var last pcap.Timestamp
	for _, p := range all {
		if p.Flags&packet.SYN == 0 {
			continue
		}
		if gap := p.Time.Sub(last); last != 0 && (gap < 1500*time.Millisecond || gap > 2500*time.Millisecond) {
			t.Errorf("packet %d comes %v after the one before, want 2s", p.Number, gap)
		}
		last = p.Time
	}
}

func checkSlowNode(t *testing.T, all []packet.Packet) {
	node, silent, resolver, licenses := "10.60.2.17", "10.60.9.4", "10.60.0.4", "10.60.3.27"
	expect(t, "questions to the silent resolver", count(all, node, silent, to(packet.ProtocolUDP, 53)), 2*len(zone))
	expect(t, "packets of the silent resolver", count(all, silent, "", every), 0)
	expect(t, "ICMP", count(all, "", "", func(p packet.Packet) bool { return p.Protocol == packet.ProtocolICMP }), 0)
	expect(t, "questions to the good resolver", count(all, node, resolver, to(packet.ProtocolUDP, 53)), len(zone))
	expect(t, "answers", count(all, resolver, node, every), len(zone))
	expect(t, "connections to the license server", count(all, node, licenses, flags(packet.SYN)), 1)
	expect(t, "licenses", count(all, licenses, node, func(p packet.Packet) bool { return len(p.Payload) > 0 }), 1)
	expect(t, "RST", count(all, "", "", func(p packet.Packet) bool { return p.Flags&packet.RST != 0 }), 0)
	expect(t, "packets of the other node", count(all, "10.60.2.18", "", every), 0)
}

func checkHealthyNode(t *testing.T, all []packet.Packet) {
	node, resolver, licenses := "10.60.2.18", "10.60.0.4", "10.60.3.27"
	expect(t, "questions", count(all, node, "", to(packet.ProtocolUDP, 53)), len(zone))
	expect(t, "answers", count(all, resolver, node, every), len(zone))
	expect(t, "connections to the license server", count(all, node, licenses, flags(packet.SYN)), 1)
	expect(t, "RST", count(all, "", "", func(p packet.Packet) bool { return p.Flags&packet.RST != 0 }), 0)
}

func TestPlayedInNamespace(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as the scenarios do")
	}
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			stage, err := s.namespace(t.Context())
			if err != nil {
				t.Skipf("needs the right to make a network namespace (root): %v", err)
			}
			defer stage.Close()
			files := shoot(t, s, stage)
			keep(t, s, files)
			check(t, s, files)
		})
	}
}

func TestPlayedOnLoopback(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as the scenarios do")
	}
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			stage, err := s.loopback(t.Context())
			if err != nil {
				t.Skipf("needs the right to capture (CAP_NET_RAW), and free ports: %v", err)
			}
			defer stage.Close()
			check(t, s, shoot(t, s, stage))
		})
	}
}

func TestRecordings(t *testing.T) {
	var total int64
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			if *update {
				record(t, s)
				return // the recording of before is compiled in
			}
			var files map[string][]byte
			synctest.Test(t, func(t *testing.T) {
				stage, err := s.recording(errors.New("permission denied"))
				if err != nil {
					t.Fatal(err)
				}
				if stage.Real || !strings.Contains(stage.Description, "permission denied") {
					t.Errorf("the stage says real %v, %q", stage.Real, stage.Description)
				}
				start := time.Now()
				files = shoot(t, s, stage)
				if took := time.Since(start); took > 25*time.Second {
					t.Errorf("it takes %v", took)
				}
				for _, file := range files {
					for _, p := range decode(t, file) {
						if at := p.Time.Time(); at.Before(start) || at.After(time.Now()) {
							t.Fatalf("packet %d at %v is not from now", p.Number, at)
						}
					}
				}
			})
			check(t, s, files)
		})
		if info, err := os.Stat(filepath.Join("recordings", s.Name+".pcap")); err == nil {
			total += info.Size()
		}
	}
	if total > 300_000 {
		t.Errorf("the recordings take %d bytes", total)
	}
}

// record captures everything that passes while a scenario is played.
func record(t *testing.T, s Scenario) {
	t.Helper()
	stage, err := s.namespace(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	files := captureAll(t, stage, map[string]arm.Session{"all": {}})
	if err := os.WriteFile(filepath.Join("recordings", s.Name+".pcap"), files["all"], 0o644); err != nil {
		t.Fatal(err)
	}
}

// keep writes the files where PCAPWARDEN_KEEP says, to be looked at.
func keep(t *testing.T, s Scenario, files map[string][]byte) {
	t.Helper()
	folder := os.Getenv("PCAPWARDEN_KEEP")
	if folder == "" {
		return
	}
	for name, file := range files {
		if err := os.WriteFile(filepath.Join(folder, s.Name+"-"+name+".pcap"), file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A play that is called off ends at once, and its sockets are free again.
func TestCalledOff(t *testing.T) {
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			stage, err := s.namespace(t.Context())
			if err != nil {
				t.Skipf("needs the right to make a network namespace (root): %v", err)
			}
			defer stage.Close()
			for range 2 {
				ctx, cancel := context.WithCancelCause(t.Context())
				stop := errors.New("called off")
				err = stage.Play(ctx, func(string) { cancel(stop) })
				if !errors.Is(err, stop) {
					t.Errorf("Play = %v, want %v", err, stop)
				}
			}
		})
	}
}
