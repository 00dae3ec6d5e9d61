package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/local/loop"
)

// walkSteps are the places of the walk, from where a file landed into the
// vault, at which the handler is killed on the emulators; the first four stand
// for all in an ordinary run.
var walkSteps = []string{
	"vault-stored", "seal-logged", "message-sent", "findings-recorded",
	"file-opened", "vault-verified", "report-stored", "manifest-stored", "message-stored", "file-recorded", "message-marked",
	"landing-cleared", "message-dealt-with",
}

// TestKilledOnEmulators kills the handler with SIGKILL between two steps of the
// walk, on Azurite and an AMQP broker: what is left is what there would be
// without. PCAPWARDEN_LONG tries every step.
func TestKilledOnEmulators(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	steps := walkSteps[:4]
	if os.Getenv("PCAPWARDEN_LONG") != "" {
		steps = walkSteps
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, step := range steps {
		o := onEmulators(t)
		wg.Go(func() {
			out, err := runKilled(t.Context(), o, step)
			if err != nil {
				t.Error(err)
				return
			}
			if err := checkLeft(t.Context(), o, out); err != nil {
				t.Errorf("killed at %s: %v", step, err)
			}
		})
	}
}

// checkLeft says what is wrong with what a run on emulators left: there is to be
// one file in the vault, sealed, one analysis, one message, and nothing where it
// landed.
func checkLeft(ctx context.Context, o loop.Options, out loop.Outcome) error {
	count := func(setting string, wanted func(name string) bool) (n int, err error) {
		f, err := openFiles(o.Settings[setting], nil)
		if err != nil {
			return 0, err
		}
		for info, err := range f.List(ctx, "") {
			if err != nil {
				return n, err
			}
			if wanted(info.Name) {
				n++
			}
		}
		return n, nil
	}
	for _, c := range []struct {
		what, setting string
		want          int
		wanted        func(string) bool
	}{
		{"landed files", "PCAPWARDEN_LANDING", 0, every},
		{"captures in the vault", "PCAPWARDEN_VAULT", 1, func(name string) bool { return strings.HasSuffix(name, ".cap") }},
		{"manifests", "PCAPWARDEN_VAULT", 1, func(name string) bool { return name == custody.ManifestName(out.Case.Files[0].Vault) }},
		{"analyses", "PCAPWARDEN_REPORTS", 1, func(name string) bool { return strings.HasSuffix(name, ".json") }},
	} {
		if n, err := count(c.setting, c.wanted); err != nil || n != c.want {
			return fmt.Errorf("%d %s, %v; want %d", n, c.what, err, c.want)
		}
	}
	var said, wrong strings.Builder
	e := environment{getenv: func(name string) string {
		if name == "PCAPWARDEN_SIGNING_KEY" {
			return "file:" + filepath.Join(o.Dir, "signing.pem")
		}
		return o.Settings[name]
	}, stdout: &said, stderr: &wrong}
	if code := run(ctx, e, []string{"evidence", "verify", out.Case.Incident}); code != exitOK {
		return fmt.Errorf("evidence verify exits with %d: %s%s", code, said.String(), wrong.String())
	}
	return onlyMessage(ctx, o, out.Case.Files[0].MessageID)
}

// onlyMessage reads the incident queue until nothing comes any more. A message
// that was sent before the handler was killed may come again, with its ID, by
// which a queue that detects duplicates drops it.
func onlyMessage(ctx context.Context, o loop.Options, id string) error {
	receiver, err := openReceiver(o.Settings["PCAPWARDEN_INCIDENT_QUEUE"])
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		wait := 10 * time.Second
		if n > 0 {
			wait = time.Second
		}
		waiting, cancel := context.WithTimeout(ctx, wait)
		d, err := receiver.Receive(waiting)
		cancel()
		switch {
		case err != nil && n > 0 && ctx.Err() == nil:
			return nil
		case err != nil:
			return fmt.Errorf("receive the message: %w", err)
		case d.MessageID != id:
			return fmt.Errorf("message %s, want %s alone", d.MessageID, id)
		}
	}
}
