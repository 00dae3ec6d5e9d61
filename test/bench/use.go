package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
)

// A usage is what one run of a program took.
type usage struct {
	wall, cpu time.Duration // cpu: user and system, of all its threads
	memory    int64         // bytes, at the peak
}

// use runs a command to its end. What it took is what the kernel says when
// the process is waited for (wait4).
func use(ctx context.Context, command []string, stdout io.Writer) (usage, error) {
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	var stderr strings.Builder
	c.Stdout, c.Stderr = stdout, &stderr
	began := time.Now()
	if err := c.Run(); err != nil {
		return usage{}, fmt.Errorf("run %s: %w %s", strings.Join(command, " "), err, stderr.String())
	}
	u := usage{wall: time.Since(began), cpu: c.ProcessState.UserTime() + c.ProcessState.SystemTime()}
	if r, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.memory = r.Maxrss << 10 // Linux counts in KiB
	}
	return u, nil
}

// own is the peak memory of this program, in bytes. The kernel counts it to
// every child: until it executes something else, that is a copy.
func own() int64 {
	text, err := os.ReadFile("/proc/self/status") // wait4 would count the parent, too
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// A tool is a program with its runs on one input.
type tool struct {
	name    string
	command []string
	ours    bool
	once    bool // it takes so long that one run has to do
	missing bool
	uses    []usage
}

func (t *tool) cpu() (median, low, high time.Duration) {
	all := make([]time.Duration, len(t.uses))
	for i, u := range t.uses {
		all[i] = u.cpu
	}
	slices.Sort(all)
	return all[len(all)/2], all[0], all[len(all)-1]
}

func (t *tool) wall() time.Duration {
	all := make([]time.Duration, len(t.uses))
	for i, u := range t.uses {
		all[i] = u.wall
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func (t *tool) memory() int64 {
	most := int64(0)
	for _, u := range t.uses {
		most = max(most, u.memory)
	}
	return most
}

// measured is an input with what all programs made of it.
type measured struct {
	input
	bytes   int64
	packets int64
	says    []string // what pcapwarden found
	dropped map[string]int64
	tools   []*tool
}

// tool returns the one of a name.
func (m *measured) tool(name string) *tool {
	return m.tools[slices.IndexFunc(m.tools, func(t *tool) bool { return t.name == name })]
}

func (m *measured) rounds() int { return len(m.tool(ourName).uses) }

// ratio is our processor time over tcpdump's in the same round: the median.
func (m *measured) ratio() (ratio float64, ok bool) {
	ours, theirs := m.tool(ourName).uses, m.tool(tcpdumpName).uses
	if len(ours) != len(theirs) || len(ours) == 0 {
		return 0, false
	}
	all := make([]float64, len(ours))
	for i := range ours {
		all[i] = ours[i].cpu.Seconds() / theirs[i].cpu.Seconds()
	}
	slices.Sort(all)
	return all[len(all)/2], true
}

// read takes what pcapwarden printed.
func (m *measured) read(document string) error {
	var all []analysis.Analysis
	if !strings.HasPrefix(strings.TrimSpace(document), "[") {
		document = "[" + document + "]"
	}
	if err := json.Unmarshal([]byte(document), &all); err != nil {
		return err
	}
	a := all[0]
	m.packets, m.dropped, m.says = a.Capture.Packets, a.Limits.Dropped, nil
	for i, f := range a.Findings {
		if i == 4 {
			break
		}
		m.says = append(m.says, fmt.Sprintf("%s (%v): %s", f.Kind, f.Severity, f.Summary))
	}
	return nil
}
