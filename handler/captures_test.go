package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/functions/captures"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/identity"
	"github.com/pcapwarden/pcapwarden/internal/local/loop"
)

// allStates are the states of a capture but for capturing, which needs a
// session: TestStopARunningCapture has one.
var allStates = []capture.State{
	capture.Asked, capture.Awaiting, capture.Ended, capture.Analysed, capture.Closed, capture.Expired,
	capture.Held, capture.Lost, capture.Declined, capture.Rejected, capture.Joined,
}

// record keeps a capture in a state, as if it had come so far.
func record(t *testing.T, l *capture.Ledger, n int, state capture.State, change func(*capture.Case)) capture.Case {
	t.Helper()
	asked := time.Date(2026, 3, 17, 2, 10, 0, 0, time.UTC).Add(time.Duration(n) * time.Minute)
	incident := capture.IncidentID(fmt.Sprint("alert", n/4))
	target := fmt.Sprintf("/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web%d", n)
	c, fresh, err := l.Open(t.Context(), capture.Case{
		Schema: capture.CaseSchema, ID: capture.Name(incident, target, "tls"), Incident: incident, State: capture.Asked,
		Alert: capture.AlertRef{ID: "alert", Rule: "upload failures", Fired: asked}, Profile: "tls",
		Approval:  capture.Approval{Mode: "required", Reason: "uploads", Owner: "net", Expires: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)},
		Target:    target,
		TimeLimit: 5 * time.Minute, TotalBytes: 100 << 20, Retention: 7 * 24 * time.Hour,
		Asked: asked, DeleteAfter: asked.AddDate(0, 0, 7),
	})
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	c, err = l.Change(t.Context(), c.Incident, c.ID, func(c *capture.Case) error {
		c.State = state
		if change != nil {
			change(c)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// still is an app whose sweep stays away from what a test records.
func still(t *testing.T) (*loop.Loop, func(roles ...string) string) {
	t.Helper()
	o, i := guarded(t)
	o.Settings["PCAPWARDEN_SWEEP_SCHEDULE"] = "0 0 0 1 1 *"
	return startLoop(t, o), i.Bearer
}

const because = `{"reason": "INC-7: asked by the shift lead"}`

// TestDecisions tries every action with every role in every state.
func TestDecisions(t *testing.T) {
	l, bearer := still(t)
	over := []capture.State{capture.Closed, capture.Expired, capture.Held, capture.Lost, capture.Declined, capture.Rejected, capture.Joined}
	everybody := []string{identity.Reader, identity.Operator, identity.Approver}
	tests := []struct {
		action, method, path string
		roles                []string
		states               []capture.State
	}{
		{"show", "GET", "", everybody, allStates},
		{"export", "GET", "/export", []string{identity.Operator}, allStates},
		{"approve", "POST", "/approve", []string{identity.Approver}, []capture.State{capture.Awaiting}},
		{"reject", "POST", "/reject", []string{identity.Approver}, []capture.State{capture.Awaiting}},
		{"stop", "POST", "/stop", []string{identity.Operator}, []capture.State{capture.Asked, capture.Awaiting}},
		{"hold", "POST", "/hold", []string{identity.Approver}, allStates},
		{"release", "POST", "/release", []string{identity.Approver}, nil},
		{"delete", "DELETE", "", []string{identity.Operator}, over},
	}
	tokens := map[string]string{}
	for _, role := range everybody {
		tokens[role] = bearer(role)
	}
	n := 0
	for _, tt := range tests {
		for _, role := range everybody {
			for _, state := range allStates {
				n++
				c := record(t, l.Ledger, n, state, nil)
				body := because
				if tt.method == "GET" {
					body = ""
				}
				status, _, answer := call(t, l, tt.method, captures.Name, "/"+c.ID+tt.path, tokens[role], body)
				want := http.StatusOK
				switch {
				case !slices.Contains(tt.roles, role):
					want = http.StatusForbidden
				case !slices.Contains(tt.states, state):
					want = http.StatusConflict
				}
				if status != want {
					t.Errorf("%s as %s while %s: answered %d %s, want %d", tt.action, role, state, status, answer, want)
					continue
				}
				now, err := l.Ledger.ByName(t.Context(), c.ID)
				if err != nil {
					t.Fatal(err)
				}
				if changed := len(now.History) != len(c.History); changed != (want == http.StatusOK && tt.method != "GET") {
					t.Errorf("%s as %s while %s: answered %d, history %v", tt.action, role, state, status, now.History)
				}
				switch want {
				case http.StatusForbidden:
					if !strings.Contains(answer, tt.roles[0]) {
						t.Errorf("%s: %s does not say which role is needed", tt.action, answer)
					}
				case http.StatusConflict:
					if !strings.Contains(answer, "is for") {
						t.Errorf("%s: %s does not say when it is possible", tt.action, answer)
					}
				}
			}
		}
	}
}

// TestWhoDecidedIsRecorded holds and releases, and reads who did it in the
// record and in the export.
func TestWhoDecidedIsRecorded(t *testing.T) {
	l, bearer := still(t)
	c := record(t, l.Ledger, 1, capture.Closed, func(c *capture.Case) { c.Files = []capture.File{{Name: "a.cap", Bytes: 7}} })
	approver := bearer(identity.Approver)
	var held captures.Capture
	status, header, answer := call(t, l, "POST", captures.Name, "/"+c.ID+"/hold", approver, because)
	if err := json.Unmarshal([]byte(answer), &held); err != nil || status != http.StatusOK {
		t.Fatalf("answered %d %s: %v", status, answer, err)
	}
	const who = "ann@example.com (object cccccccc-1111-4222-8333-444444444444) as Captures.Approve"
	if held.Hold == nil || held.Hold.By != who || held.Hold.Reason != "INC-7: asked by the shift lead" {
		t.Errorf("held by %+v, want %s", held.Hold, who)
	}
	if held.TimeLimitText != "5m" || held.RetentionText != "7d" || held.Bytes != 7 || header.Get("Cache-Control") != "no-store" {
		t.Errorf("answered %s %v", answer, header)
	}
	if status, _, answer = call(t, l, "DELETE", captures.Name, "/"+c.ID, bearer(identity.Operator), because); status != http.StatusConflict {
		t.Errorf("what is held is deleted: %d %s", status, answer)
	}
	if status, _, answer = call(t, l, "POST", captures.Name, "/"+c.ID+"/release", approver, because); status != http.StatusOK {
		t.Errorf("release: %d %s", status, answer)
	}
	var export capture.Export
	status, _, answer = call(t, l, "GET", captures.Name, "/"+c.ID+"/export?reason=court", bearer(identity.Operator), "")
	if err := json.Unmarshal([]byte(answer), &export); err != nil || status != http.StatusOK {
		t.Fatalf("answered %d %s: %v", status, answer, err)
	}
	if export.Schema != capture.ExportSchema || export.Case.ID != c.ID || export.Reason != "court" || len(export.Audit) != 5 || export.Audit[0].Actor != who {
		t.Errorf("the export has not who held it: %s", answer)
	}
}

// TestStopARunningCapture has an alert start a capture, and a person end it.
func TestStopARunningCapture(t *testing.T) {
	o, i := guarded(t)
	o.Settings["PCAPWARDEN_SWEEP_SCHEDULE"] = "0 0 0 1 1 *"
	l := startLoop(t, o)
	azure := i.Claims(time.Now(), identity.Alerts)
	azure["azp"] = identity.ActionGroups
	status, _, answer := call(t, l, "POST", "startcaptures", "", "Bearer "+i.Sign(azure), string(o.Scenario.Alert(time.Now().UTC(), time.Time{})))
	var a struct {
		Captures []struct{ Capture, State string }
	}
	if err := json.Unmarshal([]byte(answer), &a); err != nil || status != http.StatusAccepted || len(a.Captures) == 0 {
		t.Fatalf("the alert was answered %d %s, %v", status, answer, err)
	}
	for _, c := range a.Captures {
		if c.State != string(capture.Capturing) {
			t.Fatalf("capture %s is %s", c.Capture, c.State)
		}
		status, _, answer := call(t, l, "POST", captures.Name, "/"+c.Capture+"/stop", i.Bearer(identity.Operator), because)
		if status != http.StatusOK || !strings.Contains(answer, "stopAsked") {
			t.Errorf("stop was answered %d %s", status, answer)
		}
	}
}

func TestListing(t *testing.T) {
	l, bearer := still(t)
	var all []capture.Case
	for n, s := range allStates {
		all = append(all, record(t, l.Ledger, n, s, nil))
	}
	token := bearer(identity.Reader)
	tests := []struct {
		query string
		want  func(n int, c capture.Case) bool
	}{
		{"", func(int, capture.Case) bool { return true }},
		{"?state=open", func(_ int, c capture.Case) bool { return !c.State.Done() }},
		{"?state=awaiting-approval", func(_ int, c capture.Case) bool { return c.State == capture.Awaiting }},
		{"?state=closed", func(_ int, c capture.Case) bool { return c.State == capture.Closed }},
		{"?incident=" + all[0].Incident, func(n int, _ capture.Case) bool { return n < 4 }},
		{"?incident=inc-nobody", func(int, capture.Case) bool { return false }},
		{"?incident=..%2Fopen", func(int, capture.Case) bool { return false }},
		{"?target=WEB7", func(n int, _ capture.Case) bool { return n == 7 }},
		{"?profile=dns", func(int, capture.Case) bool { return false }},
		{"?since=2026-03-17T02:15:00Z", func(n int, _ capture.Case) bool { return n >= 5 }},
		{"?since=2026-03-18", func(int, capture.Case) bool { return false }},
		{"?since=1h", func(int, capture.Case) bool { return false }},
		{"?id=" + all[3].ID[:12], func(n int, _ capture.Case) bool { return n == 3 }},
		{"?limit=1", func(n int, _ capture.Case) bool { return n == len(all)-1 }},
	}
	for _, tt := range tests {
		status, _, answer := call(t, l, "GET", captures.Name, tt.query, token, "")
		var got captures.List
		if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusOK {
			t.Errorf("%s: answered %d %s: %v", tt.query, status, answer, err)
			continue
		}
		var want, have []string
		for n := len(all) - 1; n >= 0; n-- {
			if tt.want(n, all[n]) {
				want = append(want, all[n].ID)
			}
		}
		for _, s := range got.Captures {
			have = append(have, s.ID)
		}
		if !slices.Equal(have, want) || got.Schema != captures.ListSchema || got.More != (tt.query == "?limit=1") {
			t.Errorf("%s: %v, want %v", tt.query, have, want)
		}
	}
}

func TestBadCallsOfCaptures(t *testing.T) {
	l, bearer := still(t)
	c := record(t, l.Ledger, 1, capture.Closed, nil)
	all := bearer(identity.Reader, identity.Operator, identity.Approver)
	stranger := bearer("Something.Else")
	id := "/" + c.ID
	tests := []struct {
		name, method, path, token, body string
		status                          int
		says                            string
	}{
		{"no token", "GET", "", "", "", 401, "Authorization"},
		{"no role", "GET", "", stranger, "", 403, identity.Reader},
		{"no role, and a decision", "POST", id + "/hold", stranger, because, 403, identity.Reader},
		{"unknown capture", "GET", "/pc-nobody", all, "", 404, "no capture has this ID"},
		{"an ID with dots", "GET", "/..%2f..%2fx", all, "", 404, ""},
		{"an ID of another alphabet", "GET", "/%D0%B5", all, "", 404, "no capture has this ID"},
		{"a long ID", "GET", "/" + strings.Repeat("x", 3000), all, "", 404, "no capture has this ID"},
		{"unknown action", "POST", id + "/start", all, because, 404, "approve"},
		{"reading an action", "GET", id + "/approve", all, "", 405, "POST"},
		{"deleting an action", "DELETE", id + "/hold", all, because, 405, "POST"},
		{"posting to a capture", "POST", id, all, because, 405, "GET, DELETE"},
		{"posting to the list", "POST", "", all, because, 405, "captures/ID"},
		{"deleting the list", "DELETE", "", all, because, 405, "captures/ID"},
		{"a method of nobody", "PUT", id, all, because, 404, ""},
		{"no body", "POST", id + "/hold", all, "", 400, "reason"},
		{"no JSON", "POST", id + "/hold", all, "because", 400, "reason"},
		{"an empty reason", "POST", id + "/hold", all, `{"reason": "  "}`, 400, "missing"},
		{"a reason of another type", "POST", id + "/hold", all, `{"reason": 7}`, 400, "reason"},
		{"more than a reason", "POST", id + "/hold", all, `{"reason": "a", "force": true}`, 400, "nothing else"},
		{"two documents", "POST", id + "/hold", all, `{"reason": "a"}{}`, 400, "nothing else"},
		{"a bracket too much", "POST", id + "/hold", all, `{"reason": "a"}]`, 400, "nothing else"},
		{"a long reason", "POST", id + "/hold", all, `{"reason": "` + strings.Repeat("x", 1001) + `"}`, 400, "1000 bytes"},
		{"a reason of two lines", "POST", id + "/hold", all, `{"reason": "a\nb"}`, 400, "one line"},
		{"a reason that turns around", "POST", id + "/hold", all, `{"reason": "a\u202eb"}`, 400, "one line"},
		{"an endless reason", "POST", id + "/hold", all, `{"reason": "` + strings.Repeat("x", 100_000) + `"}`, 413, "larger"},
		{"a misspelt filter", "GET", "?stat=open", all, "", 400, "state"},
		{"a filter twice", "GET", "?state=open&state=closed", all, "", 400, "state"},
		{"an unknown state", "GET", "?state=running", all, "", 400, "capturing"},
		{"an unreadable time", "GET", "?since=yesterday", all, "", 400, "since"},
		{"an odd limit", "GET", "?limit=0", all, "", 400, "limit"},
		{"a query for one", "GET", id + "?state=open", all, "", 400, "query"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, header, answer := call(t, l, tt.method, captures.Name, tt.path, tt.token, tt.body)
			if status != tt.status || !strings.Contains(answer, tt.says) {
				t.Errorf("answered %d %s; want %d and a word about %q", status, answer, tt.status, tt.says)
			}
			if tt.says != "" && header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("answered with %s", header.Get("Content-Type"))
			}
			if status == http.StatusMethodNotAllowed && header.Get("Allow") == "" {
				t.Error("the answer has no Allow")
			}
		})
	}
	if now, err := l.Ledger.ByName(context.WithoutCancel(t.Context()), c.ID); err != nil || now.Hold != nil {
		t.Errorf("it is held by %+v, %v", now.Hold, err)
	}
}
