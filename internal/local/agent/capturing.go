package agent

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Sizes of the classic pcap format.
const (
	fileHeader   = 24
	packetHeader = 16
)

// capturing is one capture under way.
type capturing struct {
	session arm.Session
	match   *matcher
	cancel  context.CancelCauseFunc
	ended   chan struct{} // closed after Done
	file    *os.File
	path    string // of the file, where it could not be removed while open

	mu    sync.Mutex
	tap   Tap // nil while the capture is starting
	over  bool
	ender string
}

// begin takes the tap, which ends at once if somebody was quicker.
func (c *capturing) begin(tap Tap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tap = tap
	if c.over {
		tap.End()
	}
}

// end ends the capture; the first reason stays.
func (c *capturing) end(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over, c.ender = true, reason
	if c.tap != nil {
		c.tap.End()
	}
}

func (c *capturing) reason() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ender
}

// capture writes matching packets until the tap ends or the file is full. The
// file is complete whatever the error: what was captured is evidence.
func (c *capturing) capture() (size, packets int64, err error) {
	defer c.end("") // nothing that comes later is the reason
	snap := int64(pcap.MaxPacketLength)
	if c.session.BytesPerPacket > 0 {
		snap = min(snap, c.session.BytesPerPacket)
	}
	buf := bufio.NewWriter(c.file)
	w, err := pcap.NewWriter(buf, pcap.LinkTypeEthernet, int(snap))
	if err != nil {
		return 0, 0, err
	}
	size = fileHeader
	for {
		p, err := c.tap.Next()
		if errors.Is(err, io.EOF) {
			return size, packets, buf.Flush()
		}
		if err != nil {
			return size, packets, errors.Join(err, buf.Flush())
		}
		if !c.match.frame(p.Data) {
			continue
		}
		data := p.Data[:min(int64(len(p.Data)), snap)]
		if size+packetHeader+int64(len(data)) > c.session.TotalBytes {
			return size, packets, buf.Flush()
		}
		if err := w.WritePacket(p.Time, p.Length, data); err != nil {
			return size, packets, errors.Join(err, buf.Flush())
		}
		size += packetHeader + int64(len(data))
		packets++
	}
}

func (c *capturing) discard() error {
	err := c.file.Close()
	if c.path != "" {
		err = errors.Join(err, os.Remove(c.path))
	}
	return err
}
