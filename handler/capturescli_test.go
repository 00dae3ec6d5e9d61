package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/pcapwarden/pcapwarden/functions/captures"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/identity"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/local/scenario"
)

// localRecords is a directory as a local run leaves it, with no case yet.
func localRecords(t *testing.T) (dir string, l *capture.Ledger) {
	t.Helper()
	dir = t.TempDir()
	s, _ := scenario.Find("partner-tls")
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), s.Policy(time.Now()), 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := folder.OpenLedger(filepath.Join(dir, "cases"))
	if err != nil {
		t.Fatal(err)
	}
	return dir, capture.NewLedger(store)
}

// capturesOf runs the program with the arguments, as a shell would.
func capturesOf(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), environment{func(k string) string { return env[k] }, strings.NewReader(""), &out, &errs}, append([]string{"captures"}, args...))
	return code, out.String(), errs.String()
}

func TestCapturesOfALocalRun(t *testing.T) {
	dir, l := localRecords(t)
	waiting := record(t, l, 0, capture.Awaiting, nil)
	closed := record(t, l, 1, capture.Closed, func(c *capture.Case) {
		c.Target += strings.Repeat("-of-a-long-name", 5)
		c.Filters = []capture.Filter{{Protocol: "TCP", RemotePort: "443"}}
		c.Files = []capture.File{{Name: "a.cap", Bytes: 1234567, Vault: "inc/pc/a.cap", SHA256: "00ff", Cause: "tls-rejected", Culprit: "client"}}
		c.Note(c.Asked, "an alert says \x1b[2J\u202e")
	})
	steps := []struct {
		args []string
		code int
		says []string // on stdout when code is 0, else on stderr
	}{
		{[]string{"list"}, 0, []string{waiting.ID[:11], closed.ID[:11], "awaiting-approval", "03-17 02:11", "tls-rejected", "ASKED (UTC)"}},
		{[]string{"list", "--state", "closed", "--format", "json"}, 0, []string{`"id": "` + closed.ID, `"timeLimit": "5m"`}},
		{[]string{"list", "--state", "expired"}, 0, []string{"no captures"}},
		{[]string{"list", "--state", "running"}, 2, []string{"capturing"}},
		{[]string{"list", "all"}, 2, []string{"too much"}},
		{[]string{"show", closed.ID}, 0, []string{closed.Target, "00ff", "tls-rejected, culprit client", "1.23 MB", "TCP, remote port 443", `\u001b[2J\u202e`}},
		{[]string{"show", closed.ID[:9]}, 0, []string{closed.ID}},
		{[]string{"show", closed.ID[3:9]}, 0, []string{closed.ID}},
		{[]string{"show", "pc-"}, 2, []string{"more than one", waiting.ID, closed.ID}},
		{[]string{"show", "pc-0"}, 1, []string{"no capture"}},
		{[]string{"show", "../x"}, 1, []string{"no capture"}},
		{[]string{"show", "Ünknown"}, 1, []string{"no capture"}},
		{[]string{"show", strings.Repeat("x", 50)}, 1, []string{"no capture"}},
		{[]string{"show"}, 2, []string{"ID"}},
		{[]string{"show", closed.ID, "--format", "yaml"}, 2, []string{"text, json"}},
		{[]string{"approve", closed.ID, "--reason", "r"}, 3, []string{"awaiting-approval"}},
		{[]string{"approve", waiting.ID}, 2, []string{"--reason"}},
		{[]string{"hold", closed.ID, "--reason", "a\nb"}, 2, []string{"one line"}},
		{[]string{"hold", closed.ID[:12], "--reason", "court"}, 0, []string{"held", "court", "on this machine"}},
		{[]string{"delete", closed.ID[:12], "--reason", "space"}, 3, []string{"held"}},
		{[]string{"release", closed.ID[:12], "--reason", "settled"}, 0, []string{"released"}},
		{[]string{"delete", closed.ID[:12], "--reason", "space"}, 0, []string{"evidence deleted", "expired"}},
		{[]string{"export", closed.ID[:12], "--reason", "file"}, 0, []string{capture.ExportSchema, `"action": "hold"`, "settled"}},
		{[]string{"approve", waiting.ID[:12], "--reason", "go"}, 0, []string{"approved", "go"}},
		{[]string{"stop", waiting.ID[:12], "--reason", "no"}, 0, []string{"asked to stop"}},
		{[]string{"reject", waiting.ID[:12], "--reason", "no"}, 3, []string{"awaiting-approval"}},
		{[]string{"pause", waiting.ID}, 2, []string{"no command"}},
		{[]string{"list", "--app", "http://example.com"}, 2, []string{"https://"}},
		{[]string{"list", "--app", "https://app.example/x"}, 2, []string{"https://"}},
		{[]string{"list", "--app", "https://app.example"}, 2, []string{"PCAPWARDEN_AUDIENCE"}},
		{nil, 2, []string{"usage"}},
	}
	for _, tt := range steps {
		args := tt.args
		if len(args) > 0 {
			args = append(args, "--out", dir)
		}
		code, stdout, stderr := capturesOf(t, nil, args...)
		if code != tt.code {
			t.Errorf("%q: exit code %d, want %d\n%s%s", tt.args, code, tt.code, stdout, stderr)
		}
		text := stdout
		if tt.code != 0 {
			text = stderr
			if stdout != "" {
				t.Errorf("%q: failed, and wrote %q", tt.args, stdout)
			}
		}
		for _, s := range tt.says {
			if !strings.Contains(text, s) {
				t.Errorf("%q: it does not say %q:\n%s", tt.args, s, text)
			}
		}
		if len(tt.args) == 1 && tt.args[0] == "list" {
			for line := range strings.Lines(stdout) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
					t.Errorf("a line of %d columns: %q", n, line)
				}
			}
		}
	}
	if code, _, stderr := capturesOf(t, nil, "list", "--out", t.TempDir()); code != 1 || !strings.Contains(stderr, "pcapwarden local") {
		t.Errorf("an empty directory: exit code %d, %s", code, stderr)
	}
}

// TestCapturesOfAnApp asks an app that is served, with the function's key.
func TestCapturesOfAnApp(t *testing.T) {
	o := localOptions(t, "partner-tls")
	o.Settings["PCAPWARDEN_SWEEP_SCHEDULE"] = "0 0 0 1 1 *"
	l := startLoop(t, o)
	c := record(t, l.Ledger, 1, capture.Closed, nil)
	env := map[string]string{"PCAPWARDEN_FUNCTION_KEY": l.Host.FunctionKey()}
	steps := []struct {
		args []string
		code int
		says string
	}{
		{[]string{"list"}, 0, c.ID[:11]},
		{[]string{"list", "--target", "web1", "--format", "json"}, 0, c.Target},
		{[]string{"show", c.ID[:10]}, 0, c.Target},
		{[]string{"hold", c.ID[:10], "--reason", "court"}, 0, "held"},
		{[]string{"hold", c.ID[:10], "--reason", "court"}, 3, "that nobody holds"},
		{[]string{"export", c.ID[:10]}, 0, "court"},
		{[]string{"show", "pc-nobody"}, 1, "no capture"},
		{[]string{"show", "../../admin/functions/captures/status-of-all"}, 1, "no capture"},
		{[]string{"list", "--since", "yesterday"}, 2, "since"},
	}
	for _, tt := range steps {
		code, stdout, stderr := capturesOf(t, env, append(tt.args, "--app", l.Host.URL())...)
		if code != tt.code || !strings.Contains(stdout+stderr, tt.says) {
			t.Errorf("%q: exit code %d, want %d and a word about %q\n%s%s", tt.args, code, tt.code, tt.says, stdout, stderr)
		}
	}
	if code, _, stderr := capturesOf(t, nil, "list", "--app", l.Host.URL()); code != 1 || !strings.Contains(stderr, "PCAPWARDEN_FUNCTION_KEY") {
		t.Errorf("without a key: exit code %d, %s", code, stderr)
	}
}

// token is a credential with one token, as the Azure CLI's would be.
type token string

func (s token) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: strings.TrimPrefix(string(s), "Bearer "), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// TestCapturesWithARole asks an app that checks tokens.
func TestCapturesWithARole(t *testing.T) {
	l, bearer := still(t)
	c := record(t, l.Ledger, 1, capture.Closed, nil)
	at, err := url.Parse(l.Host.URL() + "/api/captures")
	if err != nil {
		t.Fatal(err)
	}
	ask := askURL(at, l.Host.FunctionKey(), token(bearer(identity.Reader)), "api://x")
	answer, err := ask(t.Context(), captureCall{method: http.MethodGet, id: c.ID})
	var got captures.Capture
	if err != nil || json.Unmarshal(answer, &got) != nil || got.ID != c.ID {
		t.Errorf("show as a reader: %s, %v", answer, err)
	}
	_, err = ask(t.Context(), captureCall{method: http.MethodPost, id: c.ID, action: "hold", reason: "court"})
	var stderr bytes.Buffer
	if code := failed(environment{stderr: &stderr}, "hold", err); code != exitRefused || !strings.Contains(stderr.String(), identity.Approver) {
		t.Errorf("hold as a reader: exit code %d, %s", code, &stderr)
	}
}
