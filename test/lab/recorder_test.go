//go:build linux

package lab

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/local/agent"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// A recorder is one capture by the product's own agent.
type recorder struct {
	t       *testing.T
	agent   *agent.Agent
	session string
	file    bytes.Buffer
}

// limits of a capture; zero means none.
type limits struct {
	snap    int64 // bytes of a packet
	total   int64 // bytes of the file
	filters []capture.Filter
}

// record captures on a host's interface from when it returns.
func record(h *host, name string, l limits) *recorder {
	h.t.Helper()
	r := &recorder{t: h.t, session: h.name}
	r.agent = agent.New(agent.Options{
		Wire: agent.Interface{Name: name, Do: h.do},
		Land: func(_ context.Context, _ string, content io.Reader, _ int64) error {
			_, err := r.file.ReadFrom(content)
			return err
		},
		Folder: h.t.TempDir(),
	})
	s := arm.Session{
		ID: r.session, Name: r.session, BlobName: r.session, Filters: l.filters,
		TimeLimit: 5 * time.Minute, TotalBytes: 64 << 20, BytesPerPacket: l.snap,
		Done: func(o arm.Outcome) {
			for _, e := range o.Errors {
				h.t.Errorf("capture on %s: %s", h.name, e)
			}
		},
	}
	if l.total > 0 {
		s.TotalBytes = l.total
	}
	if err := r.agent.Start(h.t.Context(), s); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { r.agent.Close() })
	return r
}

// stop ends the capture and returns its file.
func (r *recorder) stop() []byte {
	r.t.Helper()
	// The kernel closes connections that were just closed in its own time.
	time.Sleep(300 * time.Millisecond)
	if err := r.agent.Stop(r.session); err != nil {
		r.t.Fatal(err)
	}
	return r.file.Bytes()
}
