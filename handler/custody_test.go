package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

const landingID = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shoplanding"

// sent is a queue that remembers.
type sent struct{ messages []incident.Message }

func (s *sent) Send(_ context.Context, m incident.Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	s.messages = append(s.messages, m)
	return nil
}

func put(t *testing.T, to files, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := to.Create(t.Context(), name, strings.NewReader("capture"), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func names(t *testing.T, in files) []string {
	t.Helper()
	var all []string
	for info, err := range in.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Name)
	}
	slices.Sort(all)
	return all
}

func open(t *testing.T) files {
	t.Helper()
	f, err := folder.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestRecoverFiles(t *testing.T) {
	pol := &policy.Policy{Landing: map[string]resourceid.ID{"westeurope": resourceid.MustParse(landingID)}}
	const at = "https://shoplanding.blob.core.windows.net/network-watcher-logs/"
	tests := []struct {
		name   string
		c      capture.Case
		landed []string
		want   []string
	}{
		{"one file", capture.Case{ID: "pc-a", StoragePath: at + "x/2026/a.cap"}, []string{"x/2026/a.cap", "x/2026/a.cap.bak", "x/2026/b.cap"}, []string{"x/2026/a.cap"}},
		{"not there", capture.Case{ID: "pc-a", StoragePath: at + "x/2026/a.cap"}, []string{"x/2026/b.cap"}, nil},
		{
			"instances, one analysed", capture.Case{ID: "pc-a", StoragePath: at + "x/set", Files: []capture.File{{Name: "x/set/0.cap", Sent: time.Now()}}},
			[]string{"x/set/0.cap", "x/set/1.cap", "x/set2/1.cap"},
			[]string{"x/set/1.cap"},
		},
		{"foreign account", capture.Case{ID: "pc-a", StoragePath: strings.Replace(at, "shop", "bank", 1) + "a.cap"}, []string{"a.cap"}, nil},
		{"no path", capture.Case{ID: "pc-a"}, []string{"a.cap"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			landing, queue := open(t), &sent{}
			put(t, landing, tt.landed...)
			recover := recoverFiles(pol, func(string) (evidence.Landing, error) { return landing, nil }, queue)
			n, err := recover(t.Context(), tt.c)
			if err != nil || n != len(tt.want) {
				t.Fatalf("recovered %d, %v; want %d", n, err, len(tt.want))
			}
			for i, m := range queue.messages {
				events, err := evidence.ParseEvents(m.Body, pol.Landing)
				if err != nil || len(events) != 1 || events[0].Name != tt.want[i] {
					t.Errorf("event %+v, %v; want one of %s", events, err, tt.want[i])
				}
			}
		})
	}
}

func TestExpire(t *testing.T) {
	pol := &policy.Policy{Landing: map[string]resourceid.ID{"westeurope": resourceid.MustParse(landingID)}}
	landing, vault, reports := open(t), open(t), open(t)
	put(t, landing, "x/set/0.cap", "x/set/1.cap", "x/other.cap")
	put(t, vault, "inc-a/pc-a/0.cap", "inc-a/pc-b/0.cap")
	put(t, reports, "pc-a.json", "pc-a.html", "pc-a-2.json", "pc-b.json")
	c := capture.Case{ID: "pc-a", Incident: "inc-a", StoragePath: "https://shoplanding.blob.core.windows.net/network-watcher-logs/x/set"}
	erase := expire(pol, func(string) (evidence.Landing, error) { return landing, nil }, vault, reports)
	for range 2 { // what is gone is no error
		if err := erase(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	left := fmt.Sprint(names(t, landing), names(t, vault), names(t, reports))
	if want := "[x/other.cap] [inc-a/pc-b/0.cap] [pc-b.json]"; left != want {
		t.Errorf("left are %s, want %s", left, want)
	}
	held := expire(pol, func(string) (evidence.Landing, error) { return landing, nil }, heldFiles{vault}, reports)
	put(t, vault, "inc-a/pc-a/0.cap")
	if err := held(t.Context(), c); !errors.Is(err, evidence.ErrHeld) {
		t.Errorf("a held vault: %v, want ErrHeld", err)
	}
	if err := expire(&policy.Policy{}, nil, vault, reports)(t.Context(), c); err == nil || len(names(t, vault)) != 1 {
		t.Errorf("an unknown landing account: %v; the rest has to go all the same", err)
	}
}

// TestExpireOneFile leaves alone what only begins like the name of the file
// that landed.
func TestExpireOneFile(t *testing.T) {
	pol := &policy.Policy{Landing: map[string]resourceid.ID{"westeurope": resourceid.MustParse(landingID)}}
	landing, vault, reports := open(t), open(t), open(t)
	put(t, landing, "x/a.cap", "x/a.cap.bak", "x/a.cap2", "x/b.cap")
	c := capture.Case{ID: "pc-a", Incident: "inc-a", StoragePath: "https://shoplanding.blob.core.windows.net/network-watcher-logs/x/a.cap"}
	if err := expire(pol, func(string) (evidence.Landing, error) { return landing, nil }, vault, reports)(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if left, want := fmt.Sprint(names(t, landing)), "[x/a.cap.bak x/a.cap2 x/b.cap]"; left != want {
		t.Errorf("left are %s, want %s", left, want)
	}
}

// heldFiles are under a retention policy.
type heldFiles struct{ files }

func (heldFiles) Delete(context.Context, string, string) error { return evidence.ErrHeld }
