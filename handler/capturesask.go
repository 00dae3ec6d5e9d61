package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azpolicy "github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/pcapwarden/pcapwarden/functions/captures"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/azure/credential"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/identity"
)

// maxAnswer bounds what is read of the app's answer, in bytes.
const maxAnswer = 64 << 20

// askApp asks an app, as whoever is signed in to the Azure CLI.
func askApp(e environment, app, audience string) (asker, error) {
	u, err := url.Parse(app)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, errors.New("--app: want https://NAME.azurewebsites.net")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	here := u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
	switch {
	case u.Scheme != "https" && !(u.Scheme == "http" && here):
		return nil, errors.New("--app: want https://NAME.azurewebsites.net; plain http is for this machine only")
	case audience == "" && !here:
		return nil, errors.New("the audience is missing: set --audience or PCAPWARDEN_AUDIENCE to what the app's setting of that name is")
	}
	var cred azcore.TokenCredential
	if audience != "" {
		if cred, err = credential.New(credential.AzureCLI, ""); err != nil {
			return nil, err
		}
	}
	return askURL(u.JoinPath("api", captures.Name), e.getenv("PCAPWARDEN_FUNCTION_KEY"), cred, audience), nil
}

// askURL asks the function at a URL. Without a credential it sends no token.
func askURL(at *url.URL, key string, cred azcore.TokenCredential, audience string) asker {
	client := &http.Client{Timeout: 4 * time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("redirects are not followed: the token is for the app alone")
	}}
	return func(ctx context.Context, r captureCall) ([]byte, error) {
		to := at
		if r.id != "" {
			to = to.JoinPath(url.PathEscape(r.id), r.action)
		}
		to.RawQuery = r.query.Encode()
		var body io.Reader
		if r.method != http.MethodGet {
			body = bytes.NewReader(reasonBody(r.reason))
		}
		req, err := http.NewRequestWithContext(ctx, r.method, to.String(), body)
		if err != nil {
			return nil, err
		}
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		if key != "" {
			req.Header.Set("x-functions-key", key)
		}
		if cred != nil {
			token, err := cred.GetToken(ctx, azpolicy.TokenRequestOptions{Scopes: []string{audience + "/.default"}})
			if err != nil {
				return nil, fmt.Errorf("get a token for %s; are you signed in with az login? %w", audience, err)
			}
			req.Header.Set("Authorization", "Bearer "+token.Token)
		}
		res, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		if err != nil {
			return nil, fmt.Errorf("read the answer of %s: %w", at.Host, err)
		}
		if res.StatusCode == http.StatusOK {
			return answer, nil
		}
		return nil, refusal(res.StatusCode, answer)
	}
}

// refusal is the error in an answer.
func refusal(status int, answer []byte) error {
	var problem struct{ Detail string }
	if json.Unmarshal(answer, &problem) != nil || problem.Detail == "" { // by the platform, not by the app
		switch status {
		case http.StatusUnauthorized:
			problem.Detail = "the function key is missing or wrong: set PCAPWARDEN_FUNCTION_KEY"
		case http.StatusNotFound:
			problem.Detail = "there is no pcapwarden at this address, or it is older than this program"
		default:
			problem.Detail = "the app answered " + http.StatusText(status)
		}
	}
	return &captures.Error{Status: status, Detail: problem.Detail}
}

func reasonBody(reason string) []byte {
	body, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		panic(err) // a map of strings
	}
	return body
}

// askFolder asks the records of a local run: the same code that answers in
// Azure, called here. Whoever can write the folder may do all.
func askFolder(dir string) (asker, error) {
	if _, err := os.Stat(filepath.Join(dir, "cases")); err != nil {
		return nil, fmt.Errorf("%s holds no records of a local run: play one with pcapwarden local, name another with --out, or an app in Azure with --app", dir)
	}
	desk, err := folderDesk(dir)
	if err != nil {
		return nil, err
	}
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	me := identity.Caller{Name: name + " on this machine", Roles: captures.Roles}
	return func(ctx context.Context, r captureCall) ([]byte, error) {
		req := &customhandler.Request{Method: r.method, Query: r.query, Params: map[string]string{"id": r.id, "action": r.action}}
		if r.method != http.MethodGet {
			req.Body = reasonBody(r.reason)
		}
		answer, err := captures.Answer(identity.WithCaller(ctx, me), desk, req)
		if err != nil {
			return nil, err
		}
		return json.Marshal(answer)
	}, nil
}

// folderDesk is the desk of a local run's records. Nothing is started or
// stopped at it: the app that runs there does so at its next sweep.
func folderDesk(dir string) (*capture.Desk, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	in := func(name string) string { return "file:" + filepath.Join(dir, name) }
	records, err := openLedger(in("cases"), nil)
	if err != nil {
		return nil, err
	}
	pol, err := loadPolicy(context.Background(), filepath.Join(dir, "policy.yaml"), nil)
	if err != nil {
		return nil, err
	}
	vault, err := openFiles(in("vault"), nil)
	if err != nil {
		return nil, err
	}
	reports, err := openFiles(in("reports"), nil)
	if err != nil {
		return nil, err
	}
	incidents, err := openQueue(in("incidents"), nil)
	if err != nil {
		return nil, err
	}
	starter := &capture.Starter{
		Watcher: nobody{}, Directory: nobody{}, Ledger: capture.NewLedger(records), Policy: pol, Audit: audit.New(records),
		Notify: notify(incidents, "urn:pcapwarden:local"), Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	return &capture.Desk{Sweeper: &capture.Sweeper{
		Starter: starter, Expire: expire(pol, landings(in("landing"), nil), vault, reports),
	}}, nil
}

// nobody is the Azure of records alone.
type nobody struct{}

var errNobody = errors.New("recorded; nothing here reaches the machine: the app that runs on these records does it at its next sweep")

func (nobody) Machine(context.Context, string) (capture.Machine, error) {
	return capture.Machine{}, errNobody
}
func (nobody) Start(context.Context, capture.Spec) (capture.Session, error) {
	return capture.Session{}, errNobody
}
func (nobody) Find(_ context.Context, _, _, _ string) (capture.Session, error) {
	return capture.Session{}, errNobody
}
func (nobody) Status(context.Context, string) (capture.Status, error) {
	return capture.Status{}, errNobody
}
func (nobody) Stop(context.Context, string) error                           { return errNobody }
func (nobody) Delete(context.Context, string) error                         { return errNobody }
func (nobody) List(context.Context, string) ([]capture.Session, error)      { return nil, errNobody }
func (nobody) InterfaceVM(context.Context, string) (string, error)          { return "", errNobody }
func (nobody) Account(context.Context, string) (a capture.Account, _ error) { return a, errNobody }
func (nobody) Raised(context.Context, string) (r capture.Raised, _ error)   { return r, errNobody }
func (nobody) LookupVM(_ context.Context, _ string, _ []string, _ string) (string, error) {
	return "", errNobody
}
