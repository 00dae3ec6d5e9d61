package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/detect/suite"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// The exit codes of policy check.
const (
	checkAllowed = 0 // the policy is valid, and the alert would start something
	checkInvalid = 1 // the policy is not valid
	checkUsage   = 2 // flags or files are wrong
	checkRefused = 3 // the alert would start nothing
)

// policyCheck validates a policy file, and says what it would make of an
// alert. args are those after "policy check"; the result is the exit code. It
// never asks Azure.
func policyCheck(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("policy check", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), `Validate a policy file; with an alert, say which captures it would start.

usage: pcapwarden policy check --policy FILE [--alert FILE]
                               [--now RFC3339] [--format text|json]

  --policy FILE    the policy; - is standard input
  --alert FILE     an alert in the common alert schema; - is standard input
  --now RFC3339    judge as if it were then, such as 2026-05-04T02:00:00Z
  --format F       text or json (default text)

exit: 0 valid, and the alert would start a capture; 1 invalid policy;
      2 wrong use or no such file; 3 the alert would start nothing
`)
	}
	policyFile := flags.String("policy", "", "")
	alertFile := flags.String("alert", "", "")
	nowText := flags.String("now", "", "")
	format := flags.String("format", "text", "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return checkAllowed
	} else if err != nil {
		return checkUsage
	}
	usage := func(format string, a ...any) int {
		fmt.Fprintf(stderr, "pcapwarden policy check: "+format+"\n", a...)
		return checkUsage
	}
	now := time.Now()
	switch {
	case flags.NArg() > 0:
		return usage("unexpected argument %q; files go to --policy and --alert", flags.Arg(0))
	case *policyFile == "":
		return usage("--policy FILE is missing; see pcapwarden policy check --help")
	case *policyFile == "-" && *alertFile == "-":
		return usage("only one of --policy and --alert can be standard input")
	case *format != "text" && *format != "json":
		return usage("--format is %q; use text or json", *format)
	case *nowText != "":
		var err error
		if now, err = time.Parse(time.RFC3339, *nowText); err != nil {
			return usage("--now is %q; write a time such as 2026-05-04T02:00:00Z", *nowText)
		}
	}
	policyText, err := readBounded(*policyFile, stdin, policy.MaxBytes)
	if err != nil {
		return usage("read policy: %v", err)
	}
	var alertText []byte
	if *alertFile != "" {
		if alertText, err = readBounded(*alertFile, stdin, alert.MaxBytes); err != nil {
			return usage("read alert: %v", err)
		}
	}

	c := check(policyText, alertText, *alertFile != "", now)
	c.file = *policyFile
	if *policyFile == "-" {
		c.file = "<stdin>"
	}
	write := c.writeText
	if *format == "json" {
		write = c.writeJSON
	}
	if err := write(stdout); err != nil {
		return usage("write the result: %v", err)
	}
	return c.exit()
}

// readBounded reads a file, and at most one byte more than limit of it: the
// reader of the format says that it is too large.
func readBounded(name string, stdin io.Reader, limit int64) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(stdin, limit+1))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// A checked policy, and the alert that was tried on it.
type checked struct {
	file     string
	now      time.Time
	policy   *policy.Policy // nil if invalid
	mistakes []policy.Mistake
	warnings []policy.Mistake
	tried    bool         // there was an alert
	alert    *alert.Alert // nil if it cannot be read
	decision policy.Decision
}

func check(policyText, alertText []byte, tried bool, now time.Time) *checked {
	c := &checked{now: now}
	p, err := policy.Load(policyText)
	if err != nil {
		c.mistakes = []policy.Mistake{{Line: 1, Message: err.Error()}}
		if invalid, ok := errors.AsType[*policy.InvalidError](err); ok {
			c.mistakes = invalid.Mistakes
		}
		return c
	}
	c.policy, c.warnings, c.tried = p, append(p.Warnings(now), unknownKinds(p)...), tried
	if !tried {
		return c
	}
	a, err := alert.Parse(alertText)
	if err != nil {
		refusal := policy.Refusal{Reason: "alert-invalid", Message: err.Error()}
		if refused, ok := errors.AsType[*alert.Error](err); ok {
			refusal = policy.Refusal{Reason: policy.Reason(refused.Reason), Message: refused.Message}
		}
		c.decision.Refused = []policy.Refusal{refusal}
		return c
	}
	c.alert, c.decision = &a, p.DryRun(a, now)
	return c
}

func (c *checked) exit() int {
	switch {
	case c.policy == nil:
		return checkInvalid
	case c.tried && len(c.decision.Allowed) == 0:
		return checkRefused
	}
	return checkAllowed
}

// warningLines are the warnings in words, the file's with their lines.
func (c *checked) warningLines() []string {
	lines := []string{}
	for _, w := range c.warnings {
		lines = append(lines, c.file+":"+w.String())
	}
	return append(lines, c.decision.Warnings...)
}

// The JSON result. Its names are a contract; lists are never null.
type (
	checkJSON struct {
		Valid    bool          `json:"valid"`
		Errors   []mistakeJSON `json:"errors"`
		Warnings []string      `json:"warnings"`
		Profile  string        `json:"profile"`
		Shadowed []string      `json:"shadowed"`
		Allowed  []allowedJSON `json:"allowed"`
		Refused  []refusedJSON `json:"refused"`
	}
	mistakeJSON struct {
		Line    int    `json:"line"`
		Path    string `json:"path"`
		Message string `json:"message"`
	}
	allowedJSON struct {
		Target         string          `json:"target"`
		Filters        []policy.Filter `json:"filters"`
		TimeLimit      string          `json:"timeLimit"`  // such as 5m
		TotalBytes     int64           `json:"totalBytes"` // bytes
		BytesPerPacket int64           `json:"bytesPerPacket"`
		Retention      string          `json:"retention"` // such as 7d
		CheckedAtStart []string        `json:"checkedAtStart"`
	}
	refusedJSON struct {
		Target  string `json:"target"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}
)

func (c *checked) writeJSON(w io.Writer) error {
	out := checkJSON{
		Valid:    c.policy != nil,
		Errors:   []mistakeJSON{},
		Warnings: c.warningLines(),
		Profile:  c.decision.Profile,
		Shadowed: append([]string{}, c.decision.Shadowed...),
		Allowed:  []allowedJSON{},
		Refused:  []refusedJSON{},
	}
	for _, m := range c.mistakes {
		out.Errors = append(out.Errors, mistakeJSON(m))
	}
	for _, p := range c.decision.Allowed {
		out.Allowed = append(out.Allowed, allowedJSON{
			Target: visible(p.Given), Filters: p.Filters,
			TimeLimit: policy.FormatDuration(p.TimeLimit), TotalBytes: p.TotalBytes,
			BytesPerPacket: p.BytesPerPacket, Retention: policy.FormatDuration(p.Retention),
			CheckedAtStart: p.CheckedAtStart,
		})
	}
	for _, r := range c.decision.Refused {
		out.Refused = append(out.Refused, refusedJSON{visible(r.Target), string(r.Reason), r.Message})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// visible returns foreign text as it is if it is printable ASCII, and with
// everything else escaped otherwise: a terminal or a reader must not be fooled
// by what an alert says.
func visible(s string) string {
	quoted := strconv.QuoteToASCII(s)
	quoted = quoted[1 : len(quoted)-1]
	const limit = 512
	if len(quoted) > limit {
		quoted = quoted[:limit] + "..."
	}
	return quoted
}

// unknownKinds warns of severities for findings that no detector reports.
func unknownKinds(p *policy.Policy) (all []policy.Mistake) {
	known := map[finding.Kind]bool{}
	for _, d := range suite.Default {
		for _, r := range d.Reports {
			known[r.Kind] = true
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(p.Severities)) {
		if !known[kind] {
			all = append(all, policy.Mistake{Line: 1, Path: "severities." + string(kind), Message: "no detector reports it; docs/FINDINGS.md lists what there is"})
		}
	}
	return all
}
