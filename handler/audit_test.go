package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
)

func TestAuditVerify(t *testing.T) {
	dir := t.TempDir()
	store, err := folder.OpenLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	log := audit.New(store)
	for _, phase := range []audit.Phase{audit.Before, audit.After} {
		if err := log.Append(t.Context(), audit.Entry{At: time.Now(), Actor: "pcapwarden", Action: audit.Start, Phase: phase}); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(args ...string) (int, string) {
		var out bytes.Buffer
		code := run(context.Background(), environment{func(string) string { return "" }, nil, &out, &out}, append([]string{"audit", "verify"}, args...))
		return code, out.String()
	}
	if code, out := verify("--records", "file:"+dir); code != exitOK || !strings.Contains(out, "2 entries") {
		t.Errorf("a whole log: exit %d, %s", code, out)
	}
	if code, out := verify("--records", "file:"+dir, "--head", strings.Repeat("0", 64)); code != exitError || !strings.Contains(out, "cut short") {
		t.Errorf("an unknown head: exit %d, %s", code, out)
	}
	segment := filepath.Join(dir, "audit", "000000000001.json")
	body, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segment, bytes.Replace(body, []byte("pcapwarden\""), []byte("nobody\""), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := verify("--records", "file:"+dir, "--format", "json"); code != exitError || !strings.Contains(out, "does not continue") {
		t.Errorf("a changed segment: exit %d, %s", code, out)
	}
	if code, _ := verify(); code != exitUsage {
		t.Errorf("without a place: exit %d, want %d", code, exitUsage)
	}
	if code, _ := verify("--records", "file:"+filepath.Join(dir, "missing")); code != exitError {
		t.Errorf("a missing place: exit %d, want %d", code, exitError)
	}
}
