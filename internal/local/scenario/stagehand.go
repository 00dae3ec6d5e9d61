package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// stagehand is what a story's traffic works with: sockets that are closed and
// goroutines that are waited for when the story is over.
type stagehand struct {
	network Network
	step    func(string)

	mu      sync.Mutex
	running sync.WaitGroup
	open    map[io.Closer]bool
	over    bool
}

// perform plays the story's traffic on the network, from its first packet to
// its last, and leaves nothing open or running. It calls step with a sentence
// for each thing that happens, one at a time.
func (s Scenario) perform(outer context.Context, n Network, step func(string)) error {
	ctx, cancel := context.WithCancel(outer)
	h := &stagehand{network: n, open: map[io.Closer]bool{}}
	var steps sync.Mutex
	h.step = func(words string) {
		steps.Lock()
		defer steps.Unlock()
		step(words)
	}
	unhook := context.AfterFunc(ctx, h.closeAll) // whatever waits for a peer
	err := s.play(ctx, h)
	cancel()
	unhook()
	h.closeAll()
	h.running.Wait()
	if outer.Err() != nil {
		return context.Cause(outer) // the errors of closed sockets tell nothing
	}
	if err != nil {
		return fmt.Errorf("play %s: %w", s.Name, err)
	}
	return nil
}

func (h *stagehand) keep(c io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		c.Close()
		return
	}
	h.open[c] = true
}

func (h *stagehand) drop(c io.Closer) {
	h.mu.Lock()
	delete(h.open, c)
	h.mu.Unlock()
	c.Close()
}

func (h *stagehand) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	for c := range h.open {
		c.Close()
	}
	clear(h.open)
}

// serve answers each connection to addr with f.
func (h *stagehand) serve(ctx context.Context, addr netip.AddrPort, f func(net.Conn)) error {
	l, err := h.network.Listen(ctx, addr)
	if err != nil {
		return err
	}
	h.keep(l)
	h.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.keep(c)
			h.running.Go(func() {
				defer h.drop(c)
				f(c)
			})
		}
	})
	return nil
}

// packets opens a UDP socket that is closed when the story is over.
func (h *stagehand) packets(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	c, err := h.network.ListenPacket(ctx, addr)
	if err != nil {
		return nil, err
	}
	h.keep(c)
	return c, nil
}

// dial connects; the connection is to be dropped.
func (h *stagehand) dial(ctx context.Context, local netip.Addr, remote netip.AddrPort) (*net.TCPConn, error) {
	c, err := h.network.Dial(ctx, local, remote)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		c.Close()
		return nil, errors.New("the network's connections are not TCP")
	}
	h.keep(tcp)
	return tcp, nil
}

// pause waits, or returns why there is no point in waiting any more.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
