package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/excerpt"
)

func excerptCapture(ctx context.Context, e environment, args []string) int {
	flags := flag.NewFlagSet("pcapwarden excerpt", flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	flags.Usage = func() {
		fmt.Fprint(e.stderr, "usage: pcapwarden excerpt [--finding N|KIND] [FLAGS] --output DIR CAPTURE\n"+
			"       pcapwarden excerpt (--finding N|KIND | --packets LIST) [FLAGS] CAPTURE OUT\n\n"+
			"Writes pcapng files for Wireshark: the packets that prove a finding, and the\n"+
			"handshakes of their connections, with comments that say what they are. Payload\n"+
			"is cut. With --output a file for each finding, or for each of that kind; without\n"+
			"one file, OUT, or \"-\" for standard output.\n\n"+
			"Addresses are as they were: it is evidence still. To share it, redact it:\n"+
			"  pcapwarden excerpt --finding 1 CAPTURE - | pcapwarden redact - OUT\n\n")
		flags.PrintDefaults()
	}
	var job excerptJob
	flags.StringVar(&job.finding, "finding", "", "the packets of finding `N`, from 1, in the order that analyze lists them, or of those of a kind, such as tls.alert")
	flags.Var((*frames)(&job.packets), "packets", "the packets of `LIST`, such as 7,41-47")
	flags.StringVar(&job.dir, "output", "", "write a file for each finding into `DIR`, which is made if it is not there")
	flags.Var((*payload)(&job.options.Payload), "payload", "keep the payload of these packets; --payload=`BYTES`: so much of it")
	names, err := parse(flags, args)
	if err != nil {
		return usageCode(err)
	}
	if len(names) > 0 {
		job.capture = names[0]
	}
	if len(names) > 1 {
		job.out = names[1]
	}
	if len(names) == 0 || len(names) > 2 || job.capture == "-" || (job.dir == "") == (job.out == "") ||
		job.finding != "" && len(job.packets) > 0 || job.finding == "" && len(job.packets) == 0 && job.out != "" || len(job.packets) > 0 && job.dir != "" {
		flags.Usage()
		return exitUsage
	}
	job.options.Application = "pcapwarden " + buildVersion()
	if err := job.run(ctx, e); err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(e.stderr, "pcapwarden excerpt: interrupted; the file at hand is not written")
			return 130
		}
		fmt.Fprintf(e.stderr, "pcapwarden excerpt: %v\n", err)
		return exitError
	}
	return exitOK
}

// An excerptJob is what somebody asked for.
type excerptJob struct {
	capture string
	out     string // one file, or "-"
	dir     string // or a folder
	finding string // number or kind; "" is all
	packets []int64
	options excerpt.Options
}

// run makes the excerpts and says what is in them.
func (j *excerptJob) run(ctx context.Context, e environment) error {
	if _, err := os.Lstat(j.out); err == nil {
		return fmt.Errorf("%s is there already: name another file", j.out)
	}
	in, err := os.Open(j.capture)
	if err != nil {
		return err
	}
	defer in.Close()
	selections := []excerpt.Selection{{Packets: j.packets, About: "Packets that somebody asked for, and the handshakes of their connections"}}
	files := []string{j.out}
	if len(j.packets) == 0 {
		if selections, files, err = j.choose(ctx, e); err != nil {
			return err
		}
	}
	if j.dir != "" {
		if err := os.MkdirAll(j.dir, 0o700); err != nil {
			return err
		}
	}
	for _, name := range files {
		if _, err := os.Lstat(name); err == nil && j.dir != "" {
			return fmt.Errorf("%s is there already: name another folder", name)
		}
	}
	summaries, err := excerpt.Cut(ctx, in, selections, j.options, func(i int) (io.WriteCloser, error) {
		if files[i] == "-" {
			return stdoutFile{e.stdout}, nil
		}
		return wholeFile(files[i]), nil
	})
	say := e.stdout
	if j.out == "-" {
		say = e.stderr
	}
	for i, s := range summaries {
		fmt.Fprintf(say, "%s: %s, %d of handshakes\n", files[i], plural(s.Packets, "packet"), s.Handshake)
		if s.Unwritable > 0 {
			fmt.Fprintf(say, "  %d more have no time or link type that a file can hold\n", s.Unwritable)
		}
		if s.Shortened > 0 {
			fmt.Fprintf(say, "  payload of %d is cut: together it was too much\n", s.Shortened)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", j.capture, err)
	}
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// choose analyses the capture, and returns what to show of it and where.
func (j *excerptJob) choose(ctx context.Context, e environment) (all []excerpt.Selection, files []string, err error) {
	a, err := analyzeFile(ctx, e, j.capture, analysis.Options{File: j.capture}, true)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%s: %w", j.capture, err)
	case !a.Capture.Readable:
		return nil, nil, fmt.Errorf("%s: %s", j.capture, a.Capture.Error)
	}
	number, err := strconv.Atoi(j.finding)
	numbered := err == nil
	if numbered && (number < 1 || number > len(a.Findings)) {
		return nil, nil, fmt.Errorf("%s has no finding %d: it has %d", j.capture, number, len(a.Findings))
	}
	base := filepath.Base(j.capture)
	base = strings.TrimSuffix(base, filepath.Ext(base))
	asked := 0
	for i, f := range a.Findings {
		if numbered && i != number-1 || !numbered && j.finding != "" && string(f.Kind) != j.finding {
			continue
		}
		if asked++; len(f.Packets) == 0 {
			continue
		}
		if len(all) == excerpt.MaxExcerpts {
			fmt.Fprintf(e.stderr, "pcapwarden excerpt: %s has more findings; these are the %d most severe\n", j.capture, len(all))
			break
		}
		all = append(all, excerpt.ForFinding(a, i))
		files = append(files, filepath.Join(j.dir, fmt.Sprintf("%s-%02d-%s.pcapng", base, i+1, f.Kind)))
	}
	switch {
	case asked == 0 && j.finding != "":
		return nil, nil, fmt.Errorf("%s has no finding %q: analyze lists them", j.capture, j.finding)
	case asked == 0:
		return nil, nil, fmt.Errorf("%s has no findings: name packets with --packets", j.capture)
	case len(all) == 0:
		return nil, nil, errors.New("what was found names no packets: name some with --packets")
	case len(all) > 1 && j.dir == "":
		return nil, nil, fmt.Errorf("%s has %d findings %s: choose one by its number, or name a folder with --output", j.capture, len(all), j.finding)
	}
	if j.dir == "" {
		files = []string{j.out}
	}
	return all, files, nil
}

// A wholeFile is written in one call of Write, and has its name once it is
// whole.
type wholeFile string

func (f wholeFile) Write(p []byte) (int, error) {
	err := writeWhole(string(f), func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(p))
		return err
	})
	return len(p), err
}

func (f wholeFile) Close() error { return nil }

type stdoutFile struct{ io.Writer }

func (stdoutFile) Close() error { return nil }

// payload is a flag that says how much payload to keep: all, without a value.
type payload int

func (p *payload) String() string   { return "" }
func (p *payload) IsBoolFlag() bool { return true }

func (p *payload) Set(v string) error {
	switch v {
	case "true":
		*p = excerpt.MaxPayload
		return nil
	case "false":
		*p = 0
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > excerpt.MaxPayload {
		return fmt.Errorf("want 0 to %d bytes", excerpt.MaxPayload)
	}
	*p = payload(n)
	return nil
}

// frames is a flag that lists frame numbers and ranges of them.
type frames []int64

func (f *frames) String() string { return "" }

func (f *frames) Set(v string) error {
	for part := range strings.SplitSeq(v, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		first, err := strconv.ParseInt(from, 10, 64)
		last := first
		if err == nil && isRange {
			last, err = strconv.ParseInt(to, 10, 64)
		}
		if err != nil || first < 1 || last < first {
			return fmt.Errorf("%q is no frame number, and no range of them", part)
		}
		if last-first >= excerpt.MaxPackets-int64(len(*f)) {
			return errors.New("at most " + strconv.Itoa(excerpt.MaxPackets) + " packets fit into an excerpt")
		}
		for n := first; n <= last; n++ {
			*f = append(*f, n)
		}
	}
	return nil
}
