package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A report is the page with all results.
type report struct {
	inputs []*measured
}

func (r *report) add(m *measured) { r.inputs = append(r.inputs, m) }

// machine says what was measured on, and with which versions.
func machine(ctx context.Context, program string) []string {
	about := []string{
		fmt.Sprintf("%s, %s, %d cores, %s/%s", time.Now().UTC().Format(time.DateOnly), processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH),
		"load average when it was written: " + load(),
		firstLine(ctx, program, "version"),
		firstLine(ctx, "tcpdump", "--version"),
		firstLine(ctx, "tshark", "--version"),
	}
	return about
}

// load says how much else ran: CPU times of a busy machine are higher, ours
// more than tcpdump's, whose work fits into the cache.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	average, _, _ := strings.Cut(string(text), " ")
	return average
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func (r *report) page(about []string) string {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\nWritten by `make bench`.\n\n")
	for _, line := range about {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	fmt.Fprintf(&b, `
The captures are made up by `+"`test/bench/traffic`"+`, the same every time, and lie in the page cache. The programs run one
after the other, round for round; tshark runs once. pcapwarden is built as for deployment (`+"`make program`"+`). CPU is
user and system time of all threads: the median, with the lowest and the highest. pcapwarden is held against tcpdump
round by round, since a machine is not equally fast from one second to the next: the ratio is the median of theirs.
Memory is the highest peak (resident set) of all rounds; less than the %d MB of the measuring program cannot be told. A
figure with ~ is extrapolated: tshark read the first packets of the capture only.
`, own()>>20)
	for _, m := range r.inputs {
		m.section(&b)
	}
	return b.String()
}

func (m *measured) section(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n%s packets, %s MB, %d rounds.\n\n", strings.ToUpper(m.what[:1])+m.what[1:], thousands(m.packets), thousands(m.bytes/1e6), m.rounds())
	rows := [][]string{{"program", "CPU s", "lowest to highest", "wall s", "million packets/s", "MB/s", "memory MB", "CPU, pcapwarden = 1"}}
	base := time.Duration(0)
	for _, t := range m.tools {
		if t.ours && len(t.uses) > 0 {
			base, _, _ = t.cpu()
		}
	}
	for _, t := range m.tools {
		if len(t.uses) == 0 {
			rows = append(rows, []string{t.name, "not installed", "", "", "", "", "", ""})
			continue
		}
		cpu, low, high := t.cpu()
		part, about := 1.0, ""
		if t.once && m.input.packets > 0 && int64(m.input.packets) < m.packets {
			part, about = float64(m.packets)/float64(m.input.packets), "~"
		}
		seconds := cpu.Seconds() * part
		memory := fmt.Sprint(t.memory() >> 20)
		if part > 1 {
			memory += fmt.Sprintf(" after %s packets", thousands(int64(m.input.packets)))
		}
		spread := fmt.Sprintf("%.2f to %.2f", low.Seconds(), high.Seconds())
		if t.once {
			spread = ""
		}
		rows = append(rows, []string{
			t.name, about + fmt.Sprintf("%.2f", seconds), spread, about + fmt.Sprintf("%.2f", t.wall().Seconds()*part),
			about + fmt.Sprintf("%.2f", float64(m.packets)/1e6/seconds), about + thousands(int64(float64(m.bytes)/1e6/seconds)),
			memory, about + fmt.Sprintf("%.2f", seconds/base.Seconds()),
		})
	}
	table(b, rows)
	m.goals(b)
	if len(m.says) > 0 {
		b.WriteString("\nWhat pcapwarden says of it:\n\n")
		for _, s := range m.says {
			fmt.Fprintf(b, "- %s\n", s)
		}
	}
	if len(m.dropped) > 0 {
		b.WriteString("\nWhat its limits left out:\n\n")
		for _, what := range slices.Sorted(maps.Keys(m.dropped)) {
			fmt.Fprintf(b, "- %s: %s\n", what, thousands(m.dropped[what]))
		}
	}
}

// goals says which were met, and by how much the others were missed.
func (m *measured) goals(b *strings.Builder) {
	cpu := map[string]float64{}
	memory := int64(0)
	for _, t := range m.tools {
		if len(t.uses) > 0 {
			median, _, _ := t.cpu()
			cpu[t.name] = median.Seconds()
		}
		if t.ours {
			memory = t.memory()
		}
	}
	line := func(goal string, got string, met bool) {
		fmt.Fprintf(b, "- %s: %s, %s\n", goal, got, map[bool]string{true: "met", false: "missed"}[met])
	}
	if m.limit > 0 {
		b.WriteString("\nGoals:\n\n")
		line(fmt.Sprintf("%d MB at most", m.limit), fmt.Sprintf("%d", memory>>20), memory <= int64(m.limit)<<20)
	}
	if ours := cpu[ourName]; m.against > 0 && ours > 0 {
		if ratio, ok := m.ratio(); ok {
			line(fmt.Sprintf("%.1f times tcpdump's CPU at most", m.against), fmt.Sprintf("%.2f", ratio), ratio <= m.against)
		}
		if theirs := cpu[tsharkName]; theirs > 0 {
			got := fmt.Sprintf("%.1f", theirs/ours)
			if tcpdump := cpu[tcpdumpName]; tcpdump > 0 {
				got += fmt.Sprintf(" (tcpdump, which looks at nothing: %.1f)", theirs/tcpdump)
			}
			line("50 times faster than tshark", got, theirs/ours >= 50)
		}
	}
}

// table writes rows with aligned columns, numbers to the right.
func table(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for n, row := range rows {
		b.WriteString("|")
		for i, cell := range row {
			if i == 0 {
				fmt.Fprintf(b, " %-*s |", widths[i], cell)
			} else {
				fmt.Fprintf(b, " %*s |", widths[i], cell)
			}
		}
		b.WriteString("\n")
		if n > 0 {
			continue
		}
		b.WriteString("|")
		for i, w := range widths {
			if i == 0 {
				b.WriteString(strings.Repeat("-", w+2) + "|")
			} else {
				b.WriteString(strings.Repeat("-", w+1) + ":|")
			}
		}
		b.WriteString("\n")
	}
}

// thousands writes n with commas.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
