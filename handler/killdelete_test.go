package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/pcapwarden/pcapwarden/functions/captures"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/identity"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
)

// TestKilledWhileDeleting kills the handler between deleting evidence and
// recording that: asked again, it finishes, with one certificate.
func TestKilledWhileDeleting(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the app twice")
	}
	for n, step := range []string{"evidence-deleted", "deletion-certified"} {
		o, i := guarded(t)
		marker := filepath.Join(o.Dir, "killed")
		o.Settings["PCAPWARDEN_SWEEP_SCHEDULE"] = "0 0 0 1 1 *"
		o.Settings["PCAPWARDEN_FAILPOINT"] = step + "@" + marker
		l := startLoop(t, o)
		c := record(t, l.Ledger, n, capture.Closed, nil)
		vault, err := folder.OpenFiles(filepath.Join(o.Dir, "vault"))
		if err != nil {
			t.Fatal(err)
		}
		defer vault.Close()
		put(t, vault, c.Incident+"/"+c.ID+"/x/a.cap")
		status := 0
		for range 5 {
			if status, _, _ = call(t, l, "DELETE", captures.Name, "/"+c.ID, i.Bearer(identity.Operator), because); status == http.StatusOK {
				break
			}
		}
		if _, err := os.Stat(marker); err != nil {
			t.Errorf("nothing was killed at %s", step)
		}
		if c, err = l.Ledger.Case(t.Context(), c.Incident, c.ID); err != nil || status != http.StatusOK || c.Deleted.IsZero() {
			t.Errorf("killed at %s: answered %d; deleted %v, %v", step, status, c.Deleted, err)
		}
		certificates := 0
		for _, name := range names(t, vault) {
			switch name {
			case custody.CertificateName(c.Incident, c.ID):
				certificates++
			case c.Incident + "/" + c.ID + "/x/a.cap":
				t.Errorf("killed at %s: the evidence is still there", step)
			}
		}
		if certificates != 1 {
			t.Errorf("killed at %s: %d certificates", step, certificates)
		}
	}
}
