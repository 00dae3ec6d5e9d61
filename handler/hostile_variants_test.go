package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/functions/startcaptures"
	"github.com/pcapwarden/pcapwarden/internal/alert/alerttest"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// anyRule lets every alert about a machine of the payloads in
// internal/alert/testdata through to Azure, where there is no such machine.
const anyRule = `version: 1
limits: {timeLimit: 15m, totalBytes: 256MiB, activePerVM: 2, startsPerHour: 100000}
scope: {subscriptions: [0f3c2b1a-9d8e-4c7b-a6f5-e4d3c2b1a098], resourceGroups: [shop-rg]}
landing:
  - region: westeurope
    storageAccountId: /subscriptions/0f3c2b1a-9d8e-4c7b-a6f5-e4d3c2b1a098/resourceGroups/shop-rg/providers/Microsoft.Storage/storageAccounts/landingweu
profiles:
  - name: any
    when: {targetType: [vm, vmss]}
    capture:
      timeLimit: 5m
      totalBytes: 100MiB
      filters: [{protocol: TCP, remotePort: 443}]
    approval: {mode: standing, reason: test, owner: noc, approver: soc, expires: 2099-12-31}
    retention: 7d
`

// TestEveryAlert posts the payloads of every kind of alert, ours and those of
// the documentation, and odd ones made of them. Each is answered with a plan
// or a refusal that names its reason.
func TestEveryAlert(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a few seconds")
	}
	o := localOptions(t, "partner-tls")
	o.Policy = []byte(anyRule)
	stand := startStand(t, o)
	files, err := filepath.Glob("../internal/alert/testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no alerts: %v", err)
	}
	published := devset.Beside(t, "samples/alerts")
	for _, pattern := range []string{"*.json", "constructed/*.json"} {
		found, err := filepath.Glob(filepath.Join(published, pattern))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			t.Logf("no published alerts in %s: without them", published)
		}
		files = append(files, found...)
	}
	fired := regexp.MustCompile(`"firedDateTime"\s*:\s*"[^"]*"`)
	now := []byte(`"firedDateTime":"` + time.Now().UTC().Format(time.RFC3339) + `"`)
	statuses := map[int]int{}
	const each = 11 // of the variants; all of them are read in internal/alert
	n := 0
	for _, file := range files {
		payload, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		payload = fired.ReplaceAll(payload, now)
		post := func(what string, body []byte) {
			status, answer := stand.post(t, bytes.NewReader(body), nil)
			statuses[status]++
			if why := wrongAnswer(status, answer); why != "" {
				t.Errorf("%s, %s: answered %d %.300s: %s", filepath.Base(file), what, status, answer, why)
			}
			checkInert(t, what, answer)
		}
		post("as it is", payload)
		for what, body := range alerttest.Variants(payload) {
			if n++; n%each == 0 {
				post(what, body)
			}
		}
	}
	t.Logf("%d variants; answers by status: %v", n, statuses)
	for _, status := range []int{http.StatusAccepted, http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge} {
		if statuses[status] == 0 {
			t.Errorf("no answer has status %d: something was not tested", status)
		}
	}
	if n := stand.puts.Load(); n > 0 {
		t.Errorf("%d captures were asked for, on machines that do not exist", n)
	}
	stand.checkLog(t)
}

// wrongAnswer says what is missing in an answer: it tells what is started, or
// why nothing is.
func wrongAnswer(status int, answer []byte) string {
	var a struct {
		Incident string
		Captures []struct{ Target, State string }
		Refused  []struct{ Reason, Message string }
		Title    string
		Detail   string
		Status   int
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return err.Error()
	}
	switch {
	case status == http.StatusAccepted && (a.Incident == "" || len(a.Captures) == 0):
		return "no capture is named"
	case status == http.StatusOK && a.Incident == "":
		return "no incident is named"
	case status == http.StatusAccepted, status == http.StatusOK:
		return ""
	case status != http.StatusBadRequest && status != http.StatusForbidden && status != http.StatusRequestEntityTooLarge:
		return "not a documented status"
	case a.Title != "" && a.Detail != "" && a.Status == status:
		return ""
	case len(a.Refused) == 0:
		return "no reason is given"
	}
	for _, r := range a.Refused {
		if r.Reason == "" || r.Message == "" {
			return "a refusal has no reason"
		}
	}
	return ""
}

// FuzzAlertEndpoint posts anything to the function, without a process around
// it. Its policy allows none of the seeds.
func FuzzAlertEndpoint(f *testing.F) {
	files, err := filepath.Glob("../internal/alert/testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(body))
	}
	f.Add(`{"schemaId":"azureMonitorCommonAlertSchema","data":{"essentials":` + jsonText(tricks) + `}}`)
	f.Add(`{"schemaId":` + jsonText(tricks) + `}`)
	pol, err := policy.Load([]byte(strings.ReplaceAll(anyRule, "0f3c2b1a-9d8e-4c7b-a6f5-e4d3c2b1a098", "00000000-0000-0000-0000-000000000001")))
	if err != nil {
		f.Fatal(err)
	}
	records, err := folder.OpenLedger(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	h, err := customhandler.New(log, customhandler.Options{}, startcaptures.New(&capture.Starter{
		Ledger: capture.NewLedger(records), Policy: pol, Now: time.Now, Log: log, // no Watcher: asking it is a crash
	}))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		invocation := `{"Data":{"req":{"Method":"POST","Headers":{},"Body":` + jsonText(body) + `}},"Metadata":{}}`
		r := httptest.NewRequest(http.MethodPost, "/"+startcaptures.Name, strings.NewReader(invocation))
		r.Host = "127.0.0.1:1"
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var a struct {
			Outputs struct {
				Res struct{ StatusCode, Body string }
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusOK {
			t.Fatalf("answered %d %s: %v", w.Code, w.Body, err)
		}
		status, err := strconv.Atoi(a.Outputs.Res.StatusCode)
		if err != nil || status == http.StatusAccepted {
			t.Fatalf("the caller gets status %q", a.Outputs.Res.StatusCode)
		}
		if why := wrongAnswer(status, []byte(a.Outputs.Res.Body)); why != "" {
			t.Errorf("answered %d %.300s: %s", status, a.Outputs.Res.Body, why)
		}
		checkInert(t, "the answer", []byte(a.Outputs.Res.Body))
	})
}
