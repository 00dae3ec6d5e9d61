package scenario

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/local/agent"
	"github.com/pcapwarden/pcapwarden/internal/local/netns"
)

// A Stage is where a scenario is played: with real packets where this process
// may capture, else with recorded ones.
type Stage struct {
	// Wire is what the agent taps.
	Wire agent.Wire
	// Real says that the packets are; otherwise they are a recording.
	Real bool
	// Description says in words where the packets come from, and why.
	Description string

	play  func(ctx context.Context, step func(string)) error
	close func() error
}

// Play plays the scenario's traffic from its first packet to its last, and
// returns. It calls step, from one goroutine at a time, with a sentence for
// each thing that happens.
func (s *Stage) Play(ctx context.Context, step func(string)) error { return s.play(ctx, step) }

// Close gives back what the stage took. Nothing else is needed: it vanishes
// with the process too.
func (s *Stage) Close() error { return s.close() }

// Stage sets the scenario up: in a network namespace of its own, else on the
// loopback, else from the recording. Only a damaged recording is an error.
func (s Scenario) Stage(ctx context.Context) (*Stage, error) {
	stage, inNamespace := s.namespace(ctx)
	if inNamespace == nil {
		return stage, nil
	}
	stage, onLoopback := s.loopback(ctx)
	if onLoopback == nil {
		return stage, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.recording(errors.Join(inNamespace, onLoopback))
}

// world is a network whose packets can be tapped.
type world interface {
	Network
	Do(func() error) error
	Restore(frame []byte)
	Close() error
}

func (s Scenario) namespace(ctx context.Context) (*Stage, error) {
	n, err := netns.Open(s.cast)
	if err != nil {
		return nil, err
	}
	return s.live(ctx, n, "real packets, in a network namespace of their own")
}

func (s Scenario) loopback(ctx context.Context) (*Stage, error) {
	l, err := netns.OpenLoopback(s.cast)
	if err != nil {
		return nil, err
	}
	// Low ports may be somebody's, or forbidden: better known now than when
	// the capture is running.
	for _, port := range s.services {
		probe, err := l.Listen(ctx, netip.AddrPortFrom(s.cast[0], port))
		if err != nil {
			return nil, err
		}
		probe.Close()
	}
	return s.live(ctx, l, "real packets, on the loopback; in the file they carry the scenario's addresses")
}

func (s Scenario) live(ctx context.Context, w world, description string) (*Stage, error) {
	wire := agent.Interface{Name: netns.Interface, Do: w.Do, Restore: w.Restore}
	tap, err := wire.Tap(ctx)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &Stage{
		Wire: wire, Real: true, Description: description, close: w.Close,
		play: func(ctx context.Context, step func(string)) error { return s.perform(ctx, w, step) },
	}, tap.Close()
}

// recordings are what the agent captured of each scenario, played for real
// in a network namespace: go test -run TestRecordings -update, as root.
//
//go:embed recordings/*.pcap
var recordings embed.FS

func (s Scenario) recording(why error) (*Stage, error) {
	b, err := recordings.ReadFile("recordings/" + s.Name + ".pcap")
	if err != nil {
		return nil, err
	}
	r, err := agent.ReadRecording(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	return &Stage{
		Wire: r,
		Description: fmt.Sprintf("recorded packets, replayed, since this process may not capture (run it as root, or with CAP_NET_RAW): %s",
			strings.ReplaceAll(why.Error(), "\n", "; ")),
		close: func() error { return nil },
		play: func(ctx context.Context, step func(string)) error {
			step(fmt.Sprintf("the recorded packets pass again, which takes %v", r.Duration().Round(1e9)))
			return r.Play(ctx)
		},
	}, nil
}
