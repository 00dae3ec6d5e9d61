package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// records reads a whole capture.
func records(t *testing.T, src io.Reader) (all []pcap.Record) {
	t.Helper()
	in, err := pcap.NewReader(src)
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := in.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		r := *rec
		r.Data = bytes.Clone(rec.Data)
		all = append(all, r)
	}
}

// every returns a recording of n frames, one per second.
func every(t *testing.T, n int, f []byte) *Recording {
	t.Helper()
	var b bytes.Buffer
	w, err := pcap.NewWriter(&b, pcap.LinkTypeEthernet, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.WritePacket(pcap.Timestamp(i)*1e9, len(f), f); err != nil {
			t.Fatal(err)
		}
	}
	r, err := ReadRecording(&b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lab is an agent, and what became of its files and sessions.
type lab struct {
	*Agent
	folder   string
	landed   map[string][]byte
	outcomes []arm.Outcome
	refuse   error // of Land
}

func newLab(t *testing.T, w Wire) *lab {
	l := &lab{folder: t.TempDir(), landed: map[string][]byte{}}
	l.Agent = New(Options{Wire: w, Folder: l.folder, Land: l.land})
	t.Cleanup(func() { l.Close() })
	return l
}

func (l *lab) land(ctx context.Context, name string, content io.Reader, size int64) error {
	if l.refuse != nil {
		return l.refuse
	}
	b, err := io.ReadAll(content)
	if int64(len(b)) != size {
		return errors.New("the size is wrong")
	}
	l.landed[name] = b
	return err
}

func (l *lab) session(change func(*arm.Session)) arm.Session {
	s := arm.Session{
		ID: "/subscriptions/1/capture-1", Name: "capture-1", Addresses: []string{machine},
		Filters:   []capture.Filter{{Protocol: "TCP", LocalPort: "443"}},
		TimeLimit: 9500 * time.Millisecond, TotalBytes: 1 << 20, BlobName: "capture-1.cap",
		Done: func(o arm.Outcome) { l.outcomes = append(l.outcomes, o) },
	}
	if change != nil {
		change(&s)
	}
	return s
}

func TestCaptureEnds(t *testing.T) {
	hit, miss := tcp("203.0.113.9:50000", machine+":443"), tcp("203.0.113.9:50000", machine+":80")
	record := int64(packetHeader + len(hit))
	tests := []struct {
		name    string
		frame   []byte
		session func(*arm.Session)
		stop    time.Duration // when somebody stops it
		refuse  error
		packets int
		want    arm.Outcome
	}{
		{
			name: "time_limit", frame: hit, packets: 10,
			want: arm.Outcome{StopReason: arm.TimeExceeded, Bytes: fileHeader + 10*record},
		},
		{
			name: "stopped", frame: hit, stop: 2500 * time.Millisecond, packets: 3,
			want: arm.Outcome{StopReason: arm.StoppedManually, Bytes: fileHeader + 3*record},
		},
		{
			name: "full", frame: hit, packets: 4,
			session: func(s *arm.Session) { s.TotalBytes = fileHeader + 4*record },
			want:    arm.Outcome{Bytes: fileHeader + 4*record},
		},
		{
			name: "full_one_byte_short", frame: hit, packets: 3,
			session: func(s *arm.Session) { s.TotalBytes = fileHeader + 4*record - 1 },
			want:    arm.Outcome{Bytes: fileHeader + 3*record},
		},
		{
			name: "nothing_matches", frame: miss,
			want: arm.Outcome{StopReason: arm.TimeExceeded, Bytes: fileHeader},
		},
		{
			name: "cut_packets", frame: hit, packets: 10,
			session: func(s *arm.Session) { s.BytesPerPacket = 34 },
			want:    arm.Outcome{StopReason: arm.TimeExceeded, Bytes: fileHeader + 10*(packetHeader+34)},
		},
		{
			name: "storage_refuses", frame: hit, refuse: errors.New("container is gone"),
			want: arm.Outcome{StopReason: arm.TimeExceeded, Errors: []string{"store capture: container is gone"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := every(t, 60, tt.frame)
				l := newLab(t, wire)
				l.refuse = tt.refuse
				s := l.session(tt.session)
				if err := l.Start(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go wire.Play(ctx)
				if tt.stop > 0 {
					time.Sleep(tt.stop)
					if err := l.Stop(s.ID); err != nil {
						t.Fatal(err)
					}
				} else {
					// Past the tenth packet and the limit.
					time.Sleep(10 * time.Second)
				}
				synctest.Wait()
				if diff := cmp.Diff([]arm.Outcome{tt.want}, l.outcomes); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
				if err := l.Stop(s.ID); err != nil {
					t.Errorf("Stop after the end: %v", err)
				}
				if tt.refuse != nil {
					return
				}
				got := records(t, bytes.NewReader(l.landed[s.BlobName]))
				if len(got) != tt.packets {
					t.Fatalf("%d packets, want %d", len(got), tt.packets)
				}
				for i, r := range got {
					if want := start.Add(time.Duration(i) * time.Second); !r.Time.Time().Equal(want) {
						t.Errorf("packet %d at %v, want %v", r.Number, r.Time.Time(), want)
					}
					if r.Length != len(tt.frame) {
						t.Errorf("packet %d was %d bytes long, want %d", r.Number, r.Length, len(tt.frame))
					}
				}
			})
		})
	}
}

func TestTwoMachinesOnOneWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := every(t, 3, tcp("10.40.1.5:50000", machine+":443"))
		l := newLab(t, wire)
		for _, s := range []arm.Session{
			l.session(func(s *arm.Session) { s.ID, s.BlobName = "a", "a.cap" }),
			l.session(func(s *arm.Session) { s.ID, s.BlobName, s.Addresses = "b", "b.cap", []string{"10.40.1.6"} }),
		} {
			if err := l.Start(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if err := wire.Play(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.Stop("a")
		l.Stop("b")
		a, b := records(t, bytes.NewReader(l.landed["a.cap"])), records(t, bytes.NewReader(l.landed["b.cap"]))
		if len(a) != 3 || len(b) != 0 {
			t.Errorf("%d packets of the machine and %d of the other, want 3 and 0", len(a), len(b))
		}
	})
}

func TestCloseAbandons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, every(t, 60, tcp("203.0.113.9:50000", machine+":443")))
		if err := l.Start(t.Context(), l.session(nil)); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		want := []arm.Outcome{{Errors: []string{errClosed.Error()}}}
		if diff := cmp.Diff(want, l.outcomes); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if len(l.landed) > 0 {
			t.Error("a file landed")
		}
		if err := l.Start(t.Context(), l.session(nil)); !errors.Is(err, errClosed) {
			t.Errorf("Start after Close = %v", err)
		}
	})
}

// The capture outlives the request that asked for it.
func TestStartOutlivesItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, every(t, 1, arp()))
		ctx, cancel := context.WithCancel(t.Context())
		if err := l.Start(ctx, l.session(nil)); err != nil {
			t.Fatal(err)
		}
		cancel()
		time.Sleep(11 * time.Second)
		synctest.Wait()
		want := []arm.Outcome{{StopReason: arm.TimeExceeded, Bytes: fileHeader}}
		if diff := cmp.Diff(want, l.outcomes); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}

type noWire struct{}

func (noWire) Tap(context.Context) (Tap, error) { return nil, errors.New("no wire") }

func TestStartRefuses(t *testing.T) {
	tests := []struct {
		name    string
		wire    Wire
		session func(*arm.Session)
		want    string
	}{
		{"no_wire", noWire{}, nil, "no wire"},
		{"no_time_limit", &Recording{}, func(s *arm.Session) { s.TimeLimit = 0 }, "time limit"},
		{"no_byte_limit", &Recording{}, func(s *arm.Session) { s.TotalBytes = 0 }, "byte limit"},
		{"odd_address", &Recording{}, func(s *arm.Session) { s.Addresses = []string{"web01"} }, "address of the machine"},
		{"odd_filter", &Recording{}, func(s *arm.Session) { s.Filters[0].LocalPort = "http" }, "filter 1: local port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, tt.wire)
			s := l.session(tt.session)
			err := l.Start(t.Context(), s)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Start = %v, want something about %q", err, tt.want)
			}
			if err := l.Stop(s.ID); err != nil {
				t.Errorf("Stop: %v", err)
			}
			if len(l.outcomes) > 0 {
				t.Errorf("Done was called: %v", l.outcomes)
			}
		})
	}
	t.Run("running_already", func(t *testing.T) {
		l := newLab(t, &Recording{})
		if err := l.Start(t.Context(), l.session(nil)); err != nil {
			t.Fatal(err)
		}
		if err := l.Start(t.Context(), l.session(nil)); err == nil {
			t.Error("Start of a running session works")
		}
	})
}

// A growing file has no name that could be left behind.
func TestFolderStaysEmpty(t *testing.T) {
	l := newLab(t, &Recording{})
	if err := l.Start(t.Context(), l.session(nil)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(l.folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) > 0 {
		t.Errorf("%v lies there", entries)
	}
}
