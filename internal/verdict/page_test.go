package verdict

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

var update = flag.Bool("update", false, "write docs/VERDICTS.md")

// TestVerdictsPage holds docs/VERDICTS.md and the tables together. With
// -update it writes the page.
func TestVerdictsPage(t *testing.T) {
	const path = "../../docs/VERDICTS.md"
	got := page()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/VERDICTS.md is stale: run go test ./internal/verdict -run TestVerdictsPage -update\n%s", diff)
	}
}

func page() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`# Verdicts

Made from internal/verdict by its test; not to be edited.

A verdict is one cause, one culprit and one paragraph. The first of these that
applies is the verdict:

1. nothing was captured: no-traffic;
2. the capture was over before the incident began: inconclusive;
3. something is broken: a finding of medium severity or more (or a low one that
   is about most of what was captured) that no other finding explains and that
   the capture's flaws leave standing. The most severe leads; among equals what
   happened far more often, then what stands first in the table of causes;
4. nothing is broken, but something is suspicious, or exposed;
5. the capture can't show that all is well: inconclusive;
6. healthy, with the numbers that say so.

## Causes

In the order in which a conversation needs things. Where a kind stands twice,
the first line whose condition holds counts. Kinds that are not listed never
lead: they are context.

| Finding | Condition | Cause | Because |
|---|---|---|---|`)
	for _, r := range readings {
		condition := ""
		if r.when != nil {
			condition = r.when.words
		}
		line("| %s | %s | %s | %s |", r.kind, condition, r.cause, r.because)
	}
	line("\n## What explains what\n\nBetween the same parties, a finding on the left is the reason for those on the right, which follow it.\n\n| Finding | Explains | Because |\n|---|---|---|")
	for _, e := range explanations {
		line("| %s | %s | %s |", e.by, join(e.what), e.because)
	}
	line("\n## Doubts\n\nFlaws of the capture make what was found in it less sure, or silence it.\n\n| Flaw | Undermines | Confidence | Because |\n|---|---|---|---|")
	for _, d := range doubts {
		left := fmt.Sprintf("%.0f %%", 100*d.factor)
		if d.factor == 0 {
			left = "silenced"
		}
		line("| %s | %s | %s | %s |", d.flaw, join(d.about), left, d.because)
	}
	return b.String()
}

func join(all []finding.Kind) string {
	var names []string
	for _, k := range all {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}
