package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// TestHealthEndpoint asks as the platform does, without key and token, an app
// that checks both elsewhere.
func TestHealthEndpoint(t *testing.T) {
	o, i := guarded(t)
	i.Down(true)
	l := startLoop(t, o)
	ask := func() (int, string) {
		t.Helper()
		res, err := http.Get(l.Host.URL() + "/api/health")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var b strings.Builder
		if err := res.Write(&b); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, b.String()
	}
	status, answer := ask()
	if status != http.StatusOK || !strings.HasSuffix(strings.TrimSpace(answer), `{"status":"ready"}`) {
		t.Errorf("answered %d %s", status, answer)
	}
	res, err := http.Post(l.Host.URL()+"/api/health", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode == http.StatusOK {
		t.Error("it takes a POST")
	}
	// One whose records are broken: another host, since an answer is believed for a while.
	o2, _ := guarded(t)
	l2 := startLoop(t, o2)
	// What is larger than any record can't be read.
	if err := os.WriteFile(filepath.Join(o2.Dir, "cases", "health"), make([]byte, ledger.MaxRecord+1), 0o600); err != nil {
		t.Fatal(err)
	}
	l = l2
	if status, answer := ask(); status != http.StatusServiceUnavailable || strings.Contains(answer, "cases") {
		t.Errorf("without records: answered %d %s", status, answer)
	}
}
