package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/pcapwarden/pcapwarden"
	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/config"
	"github.com/pcapwarden/pcapwarden/internal/local/loop"
	"github.com/pcapwarden/pcapwarden/internal/local/scenario"
	"github.com/pcapwarden/pcapwarden/internal/report"
)

// marker is in a directory that local runs may empty.
const marker = ".pcapwarden-local"

func local(ctx context.Context, e environment, args []string) int {
	flags := flag.NewFlagSet("pcapwarden local", flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	names := []string{}
	for _, s := range scenario.All() {
		names = append(names, s.Name)
	}
	flags.Usage = func() {
		fmt.Fprint(e.stderr, "usage: pcapwarden local [FLAGS]\n\nPlays the whole loop on this machine, on real packets where it may.\n\nScenarios:\n")
		for _, s := range scenario.All() {
			fmt.Fprintf(e.stderr, "  %-16s %s\n", s.Name, s.Summary)
		}
		fmt.Fprint(e.stderr, "  all              each of them\n\nFlags:\n")
		flags.PrintDefaults()
	}
	which := choice{"partner-tls", append(names, "all")}
	flags.Var(&which, "scenario", "`NAME` of the scenario")
	out := flags.String("out", ".local", "`DIR` for all that the run leaves behind")
	app := flags.String("app", "", "`DIR` of an app laid out for deployment; default: this program's own")
	split := flags.Bool("split", false, "two apps share the work: one starts captures, the other reads them")
	rest, err := parse(flags, args)
	if err != nil {
		return usageCode(err)
	}
	if len(rest) > 0 {
		fmt.Fprintf(e.stderr, "pcapwarden local: %q is too much; the scenario is named with --scenario\n", rest[0])
		return exitUsage
	}
	if err := clean(*out); err != nil {
		fmt.Fprintf(e.stderr, "pcapwarden local: %v\n", err)
		return exitError
	}
	if *app == "" {
		program, err := os.Executable()
		if err == nil {
			*app = filepath.Join(*out, "app")
			err = loop.Stage(pcapwarden.App, program, *app)
		}
		if err != nil {
			fmt.Fprintf(e.stderr, "pcapwarden local: %v\n", err)
			return exitError
		}
	}
	code := exitOK
	for _, s := range scenario.All() {
		if which.value != "all" && which.value != s.Name {
			continue
		}
		if err := playScenario(ctx, e, s, *out, *app, *split); err != nil {
			fmt.Fprintf(e.stderr, "pcapwarden local: %s: %v\n", s.Name, err)
			fmt.Fprintf(e.stderr, "The log is %s.\n", filepath.Join(*out, "log.jsonl"))
			code = exitError
			if ctx.Err() != nil {
				return 130
			}
		}
	}
	return code
}

// clean empties the directory of an earlier run. One that a run did not make
// is left alone.
func clean(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
			return fmt.Errorf("%s is not empty, and not from an earlier run; name another directory with --out", dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, marker), []byte("made by pcapwarden local, which may delete this directory\n"), 0o600)
}

func playScenario(ctx context.Context, e environment, s scenario.Scenario, dir, app string, split bool) error {
	fmt.Fprintf(e.stdout, "%s\n%s\n\n", s.Name, report.Wrap(s.Summary, 78, ""))
	show := newSteps(e.stdout)
	o := localStores(loop.Options{Scenario: s, Dir: dir, App: app, Settings: overrides(e.getenv), Show: show.step})
	if split {
		o.Apps = splitApps()
	}
	outcomes, err := loop.Run(ctx, o)
	show.done()
	if err != nil {
		return err
	}
	var wrong []string
	for _, o := range outcomes {
		fmt.Fprintln(e.stdout)
		if len(o.Case.Files) == 0 {
			fmt.Fprintf(e.stdout, "%s: capture %s: %s\n", o.Machine, o.Case.State, o.Case.Reason)
			wrong = append(wrong, o.Machine)
			continue
		}
		f := o.Case.Files[0]
		fmt.Fprintf(e.stdout, "%-9s %s, culprit %s\n", "Verdict", f.Cause, f.Culprit)
		fmt.Fprintf(e.stdout, "%-9s %s, %s\n", "Machine", o.Machine, o.Role)
		if summary := summaryOf(filepath.Join(dir, "reports", f.Analysis)); summary != "" {
			fmt.Fprintln(e.stdout, report.Wrap(summary, 78, "          "))
		}
		fmt.Fprintf(e.stdout, "%-9s %s\n", "Message", messageFile(dir, f.MessageID))
		fmt.Fprintf(e.stdout, "%-9s %s\n", "Report", filepath.Join(dir, "reports", f.Report))
		for _, x := range f.Excerpts {
			fmt.Fprintf(e.stdout, "%-9s %s\n", "Excerpt", filepath.Join(dir, "reports", x))
		}
		fmt.Fprintf(e.stdout, "%-9s %s\n", "Evidence", filepath.Join(dir, "vault", filepath.FromSlash(f.Vault)))
		fmt.Fprintf(e.stdout, "%-9s %s\n", "Manifest", filepath.Join(dir, "vault", filepath.FromSlash(f.Manifest)))
		if !o.Matches {
			wrong = append(wrong, o.Machine)
		}
	}
	if len(outcomes) > 0 {
		fmt.Fprintf(e.stdout, "\n%-9s %s\n", "Incident", filepath.Join(dir, "reports", capture.IncidentPage(outcomes[0].Case.Incident)+".html"))
	}
	fmt.Fprintf(e.stdout, "\nCheck the evidence with: pcapwarden evidence verify %s\n\n", dir)
	if len(wrong) > 0 {
		return fmt.Errorf("the verdict on %s is not what happened", strings.Join(wrong, ", "))
	}
	return nil
}

// overrides are the settings of a local run that the environment gives: the
// same names point it at emulators.
func overrides(getenv func(string) string) map[string]string {
	all := map[string]string{}
	for _, s := range config.Settings {
		if v := getenv(s.Name); v != "" {
			all[s.Name] = v
		}
	}
	return all
}

func summaryOf(analysisFile string) string {
	a, err := readAnalysis(analysisFile)
	if err != nil {
		return ""
	}
	return a.Verdict.Summary
}

func readAnalysis(name string) (*analysis.Analysis, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return report.ReadJSON(f)
}

// messageFile finds the message among the files of the incident folder.
func messageFile(dir, id string) string {
	found, err := filepath.Glob(filepath.Join(dir, "incidents", "*.json"))
	if err != nil {
		return id
	}
	for _, name := range found {
		if strings.Contains(name, id) {
			return name
		}
		text, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(text), `"id":"`+id+`"`) {
			return name
		}
	}
	return id + " on the incident queue"
}

// steps prints what happens; on a terminal a bar below shows that something
// still does.
type steps struct {
	out  io.Writer
	mu   sync.Mutex
	bar  *progressbar.ProgressBar // nil where nobody watches
	stop chan struct{}
	over sync.WaitGroup
}

func newSteps(out io.Writer) *steps {
	s := &steps{out: out, stop: make(chan struct{})}
	if !isTerminal(out) {
		return s
	}
	s.bar = progressbar.NewOptions(-1, progressbar.OptionSetWriter(out), progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSpinnerType(14), progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(false))
	s.over.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-tick.C:
				s.mu.Lock()
				s.bar.Add(1)
				s.mu.Unlock()
			}
		}
	})
	return s
}

func (s *steps) step(st loop.Step) {
	mark := " "
	if st.Warn {
		mark = "!"
	}
	head := fmt.Sprintf("%s%6.1f s  %-8s ", mark, st.At.Seconds(), st.Who)
	text := report.Wrap(st.What, 79, strings.Repeat(" ", len(head)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		s.bar.Clear()
		s.bar.Describe(st.Who)
	}
	fmt.Fprintln(s.out, head+strings.TrimLeft(text, " "))
}

func (s *steps) done() {
	close(s.stop)
	s.over.Wait()
	if s.bar != nil {
		s.bar.Finish()
	}
}
