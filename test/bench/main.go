// Command bench measures pcapwarden against tcpdump and tshark: on the same
// captures, in the same minutes, one after the other.
//
//	go run ./test/bench [-rounds 3] [-only NAME] [-out docs/BENCHMARKS.md]
//	go run ./test/bench -profile handler/cpu.pgo
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/pcapwarden/pcapwarden/test/bench/traffic"
)

// version goes into the names of the captures: raise it when traffic changes
// what it writes, and they are made again.
const version = 1

// An input is a capture to measure with.
type input struct {
	name    string
	what    string
	write   func(io.Writer) error
	packets int     // that tshark reads of it; 0: all
	limit   int     // MB that pcapwarden may take; 0: nothing is promised
	against float64 // of tcpdump's CPU, what pcapwarden may take; 0: nothing is promised
	often   int     // runs per round: what a second measures is as uncertain as who else has the machine
}

const (
	ourName     = "pcapwarden analyze"
	tcpdumpName = "tcpdump -w /dev/null"
	tsharkName  = "tshark -z expert"
)

var inputs = []input{
	{"mixed", "1 GB of ordinary traffic", func(w io.Writer) error { return traffic.Mixed(w, 1e9) }, 0, 64, 1.5, 10},
	{"syns", "15 million SYNs from as many clients", func(w io.Writer) error { return traffic.SYNs(w, 15e6) }, 1e6, 256, 0, 1},
	{"lookups", "1 million DNS lookups", func(w io.Writer) error { return traffic.Lookups(w, 1e6) }, 200e3, 0, 0, 1},
	{"short-tls", "200,000 short TLS connections", func(w io.Writer) error { return traffic.ShortTLS(w, 200e3) }, 350e3, 0, 0, 1},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	dir := flag.String("dir", "build/bench", "`FOLDER` for captures and the program")
	rounds := flag.Int("rounds", 3, "how often everything runs")
	only := flag.String("only", "", "`NAME` of the one input to measure")
	out := flag.String("out", "", "write the page to `FILE` as well")
	generate := flag.String("generate", "", "write the input of this `NAME` to standard output, and nothing else")
	profile := flag.String("profile", "", "measure nothing, and write to `FILE` where the time goes, for the compiler")
	flag.Parse()
	if *generate != "" {
		for _, in := range inputs {
			if in.name == *generate {
				return in.write(os.Stdout)
			}
		}
		return fmt.Errorf("no such input: %s", *generate)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	if *profile != "" {
		return record(ctx, *dir, *profile)
	}
	program := filepath.Join(*dir, "pcapwarden")
	build := exec.CommandContext(ctx, "make", "program", "PROGRAM="+program)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build pcapwarden: %w", err)
	}
	var r report
	for _, in := range inputs {
		if *only != "" && in.name != *only {
			continue
		}
		file, err := in.make(ctx, *dir)
		if err != nil {
			return err
		}
		m, err := measure(ctx, program, file, in, *rounds*in.often)
		if err != nil {
			return err
		}
		r.add(m)
	}
	text := r.page(machine(ctx, program))
	fmt.Print(text)
	if *out == "" {
		return nil
	}
	return os.WriteFile(*out, []byte(text), 0o644)
}

// make writes the capture, unless it is there. Another process does it: the
// kernel counts what this one needs at most to every program that it starts.
func (in input) make(ctx context.Context, dir string) (file string, err error) {
	file = filepath.Join(dir, fmt.Sprintf("%s-v%d.pcap", in.name, version))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	fmt.Fprintf(os.Stderr, "writing %s: %s\n", file, in.what)
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Create(file + ".part")
	if err != nil {
		return "", err
	}
	defer f.Close()
	c := exec.CommandContext(ctx, self, "-generate", in.name)
	c.Stdout, c.Stderr = f, os.Stderr
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("write %s: %w", file, err)
	}
	return file, os.Rename(file+".part", file)
}

// measure runs every program once a round.
func measure(ctx context.Context, program, file string, in input, rounds int) (*measured, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	m := &measured{input: in, bytes: info.Size()}
	tshark := []string{"tshark", "-n", "-q", "-z", "expert", "-r", file}
	if in.packets > 0 {
		tshark = append(tshark, "-c", fmt.Sprint(in.packets))
	}
	tools := []*tool{
		{name: tcpdumpName, command: []string{"tcpdump", "-nn", "-r", file, "-w", "/dev/null"}},
		{name: ourName, command: []string{program, "analyze", "--no-hash", "--format", "json", file}, ours: true},
		{name: tsharkName, command: tshark, once: true},
	}
	if err := warm(file); err != nil {
		return nil, err
	}
	for round := range rounds {
		for _, t := range tools {
			if t.missing || t.once && round > 0 {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s, round %d: %s\n", in.name, round+1, t.name)
			var stdout strings.Builder
			u, err := use(ctx, t.command, &stdout)
			if errors.Is(err, exec.ErrNotFound) {
				t.missing = true
				continue
			}
			if err != nil {
				return nil, err
			}
			t.uses = append(t.uses, u)
			if t.ours {
				if err := m.read(stdout.String()); err != nil {
					return nil, fmt.Errorf("read what pcapwarden says of %s: %w", in.name, err)
				}
			}
		}
	}
	m.tools = tools
	return m, nil
}

// warm reads the file once, so that no disk is measured.
func warm(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 1<<18))
	return err
}

func firstLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil && len(out) == 0 {
		return name + ": not installed"
	}
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "Running as") {
			return line
		}
	}
	return name
}
