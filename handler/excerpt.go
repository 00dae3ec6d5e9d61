package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/excerpt"
)

func excerptCapture(ctx context.Context, e environment, args []string) int {
	flags := flag.NewFlagSet("pcapwarden excerpt", flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	flags.Usage = func() {
		fmt.Fprint(e.stderr, "usage: pcapwarden excerpt (--finding N | --packets LIST) [--payload BYTES] CAPTURE OUT\n\n"+
			"Writes a pcapng file with these packets alone, and the handshakes of their\n"+
			"connections; comments say what they are. Addresses are as they were: it is\n"+
			"evidence still. To share it, redact it.\n\n")
		flags.PrintDefaults()
	}
	number := flags.Int("finding", 0, "the packets of finding `N`, from 1, in the order that analyze lists them")
	var list frames
	flags.Var(&list, "packets", "the packets of `LIST`, such as 7,41-47")
	payload := flags.Int("payload", 0, "`BYTES` of payload to keep of each packet")
	names, err := parse(flags, args)
	if err != nil {
		return usageCode(err)
	}
	if len(names) != 2 || names[0] == "-" || names[1] == "-" || (*number != 0) == (len(list) != 0) || *number < 0 {
		flags.Usage()
		return exitUsage
	}
	s, err := excerptFile(ctx, e, names[0], names[1], *number, excerpt.Options{Packets: list, Payload: *payload})
	if err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(e.stderr, "pcapwarden excerpt: interrupted; nothing is written")
			return 130
		}
		fmt.Fprintf(e.stderr, "pcapwarden excerpt: %v\n", err)
		return exitError
	}
	fmt.Fprintf(e.stdout, "%s: %d packets, and %d of handshakes\n", names[1], s.Packets, s.Handshake)
	return exitOK
}

func excerptFile(ctx context.Context, e environment, name, out string, number int, o excerpt.Options) (s excerpt.Summary, err error) {
	if _, err := os.Lstat(out); err == nil {
		return s, fmt.Errorf("%s is there already: name another file", out)
	}
	in, err := os.Open(name)
	if err != nil {
		return s, err
	}
	defer in.Close()
	if number > 0 {
		a, err := analyzeFile(ctx, e, name, analysis.Options{File: name}, true)
		switch {
		case err != nil:
			return s, fmt.Errorf("%s: %w", name, err)
		case !a.Capture.Readable:
			return s, fmt.Errorf("%s: %s", name, a.Capture.Error)
		case number > len(a.Findings):
			return s, fmt.Errorf("%s has no finding %d: it has %d", name, number, len(a.Findings))
		case len(a.Findings[number-1].Packets) == 0:
			return s, fmt.Errorf("finding %d, %s, names no packets: name some with --packets", number, a.Findings[number-1].Kind)
		}
		bytes := o.Payload
		o = excerpt.ForFinding(a, number-1)
		o.Payload = bytes
	}
	o.About.Application = "pcapwarden " + buildVersion()
	err = writeWhole(out, func(w io.Writer) error {
		if s, err = excerpt.Write(ctx, in, w, o); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	return s, err
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
