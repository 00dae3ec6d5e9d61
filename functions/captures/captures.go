// Package captures is the function where people see captures, and decide about
// them.
package captures

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/identity"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// Name is the function's folder, path and name in telemetry.
const Name = "captures"

// maxBody bounds a request: a reason and some JSON around it, in bytes.
const maxBody = 8 << 10

// patience is below the 230 s after which Azure's front end hangs up.
const patience = 200 * time.Second

// Roles are those that see captures. What else they may do, see actions.
var Roles = []string{identity.Reader, identity.Operator, identity.Approver}

// New returns the function. Who may call it at all is checked before, see
// [identity.Guard]; what callers may do with their roles is checked here.
//
//	GET    captures?state=&incident=&target=&profile=&since=&id=&limit=
//	GET    captures/ID
//	GET    captures/ID/export?reason=
//	POST   captures/ID/approve|reject|stop|hold|release   {"reason": "..."}
//	DELETE captures/ID                                    {"reason": "..."}
//
// It answers 200 with a [List], a [Capture] or a [capture.Export]; 400 for
// what can't be understood, 403 without the role, 404 for an unknown capture,
// 409 when its state does not allow it.
func New(d *capture.Desk, log *slog.Logger) customhandler.Function {
	return customhandler.HTTP(Name, maxBody, func(ctx context.Context, r *customhandler.Request) (*customhandler.Response, error) {
		body, err := Answer(ctx, d, r)
		if r.Method != http.MethodGet {
			log.InfoContext(ctx, "decision", "by", identity.CallerOf(ctx).String(), "method", r.Method,
				"capture", short(r.Params["id"]), "action", short(r.Params["action"]), "taken", err == nil)
		}
		if refused, ok := errors.AsType[*Error](err); ok {
			if refused.Status == http.StatusMethodNotAllowed { // RFC 9110 section 15.5.6
				res := customhandler.Problem(ctx, refused.Status, refused.Detail)
				res.Header["Allow"] = allowed(r)
				return res, nil
			}
			return nil, customhandler.Refused(refused.Status, refused)
		}
		if err != nil {
			return nil, err
		}
		return &customhandler.Response{Body: body, Header: map[string]string{"Cache-Control": "no-store"}}, nil
	}).Within(patience)
}

func short(s string) string { return s[:min(len(s), 64)] }

// An Error is a request that is refused: asking again does not help.
type Error struct {
	Status int // 4xx
	Detail string
}

func (e *Error) Error() string { return e.Detail }

func refuse(status int, format string, args ...any) error {
	return &Error{status, fmt.Sprintf(format, args...)}
}

// An action is something that a person may do.
type action struct {
	method, name string
	roles        []string // one of them is needed
	when         string   // what it is for
	do           func(*capture.Desk, context.Context, string, capture.Person) (any, error)
}

// actions are what can be done with one capture.
var actions = []action{
	{http.MethodGet, "", Roles, "", nil},
	{http.MethodGet, "export", []string{identity.Operator}, "", func(d *capture.Desk, ctx context.Context, id string, p capture.Person) (any, error) {
		return d.Export(ctx, id, p)
	}},
	{http.MethodPost, "approve", []string{identity.Approver}, "a capture that is awaiting-approval, while neither its alert nor its approval is over", changing((*capture.Desk).Approve)},
	{http.MethodPost, "reject", []string{identity.Approver}, "a capture that is awaiting-approval", changing((*capture.Desk).Reject)},
	{http.MethodPost, "stop", []string{identity.Operator}, "a capture that is asked, awaiting-approval or capturing", changing((*capture.Desk).Stop)},
	{http.MethodPost, "hold", []string{identity.Approver}, "evidence that is not deleted, and that nobody holds", changing((*capture.Desk).Hold)},
	{http.MethodPost, "release", []string{identity.Approver}, "evidence that somebody holds", changing((*capture.Desk).Release)},
	{http.MethodDelete, "", []string{identity.Operator}, "a capture that is over (closed, expired, failed, declined, rejected or joined), and that nobody holds", changing((*capture.Desk).Delete)},
}

func changing(do func(*capture.Desk, context.Context, string, capture.Person) (capture.Case, error)) func(*capture.Desk, context.Context, string, capture.Person) (any, error) {
	return func(d *capture.Desk, ctx context.Context, id string, p capture.Person) (any, error) {
		c, err := do(d, ctx, id, p)
		return Document(c), err
	}
}

// Answer does what a request of the caller of ctx asks for. The error is an
// [*Error] when it is refused, and any other when it may be asked again.
func Answer(ctx context.Context, d *capture.Desk, r *customhandler.Request) (any, error) {
	caller, id, name := identity.CallerOf(ctx), r.Params["id"], r.Params["action"]
	if id == "" {
		if r.Method != http.MethodGet {
			return nil, refuse(http.StatusMethodNotAllowed, "%s needs a capture: captures/ID; GET captures lists them", r.Method)
		}
		if !caller.Has(Roles...) {
			return nil, needs("list", Roles)
		}
		return list(ctx, d, r.Query)
	}
	n := slices.IndexFunc(actions, func(a action) bool { return a.method == r.Method && a.name == name })
	if methods := allowed(r); n < 0 && methods == "" {
		return nil, refuse(http.StatusNotFound, "there is no such action: approve, reject, stop, hold, release and export are")
	} else if n < 0 {
		return nil, refuse(http.StatusMethodNotAllowed, "this takes %s", methods)
	}
	a := actions[n]
	if !caller.Has(a.roles...) {
		return nil, needs(a.word(), a.roles)
	}
	if a.do == nil {
		if err := known(r.Query); err != nil {
			return nil, err
		}
		c, err := d.Show(ctx, id)
		return Document(c), reword(err, a)
	}
	reason, err := reasonOf(r)
	if err != nil {
		return nil, err
	}
	by := caller.String()
	if role := firstOf(a.roles, caller); role != "" {
		by += " as " + role
	}
	done, err := a.do(d, ctx, id, capture.Person{Name: by, Reason: reason})
	return done, reword(err, a)
}

// word is what an action is called.
func (a action) word() string {
	switch {
	case a.name != "":
		return a.name
	case a.method == http.MethodDelete:
		return "delete"
	}
	return "show"
}

func firstOf(roles []string, c identity.Caller) string {
	for _, r := range roles {
		if c.Has(r) {
			return r
		}
	}
	return ""
}

// allowed are the methods of what a request is about.
func allowed(r *customhandler.Request) string {
	var methods []string
	for _, a := range actions {
		if a.name == r.Params["action"] && (r.Params["id"] != "" || a.method == http.MethodGet) {
			methods = append(methods, a.method)
		}
	}
	return strings.Join(methods, ", ")
}

func needs(what string, roles []string) error {
	return refuse(http.StatusForbidden, "%s needs the app role %s; have it assigned in Entra, under the app's enterprise application, and get a new token",
		what, strings.Join(roles, " or "))
}

// reword turns an error of the desk into one for who asked.
func reword(err error, a action) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ledger.ErrNotFound):
		return refuse(http.StatusNotFound, "no capture has this ID; GET captures lists them")
	case errors.Is(err, capture.ErrState):
		return refuse(http.StatusConflict, "%v; %s is for %s", err, a.word(), a.when)
	case errors.Is(err, evidence.ErrHeld):
		return refuse(http.StatusConflict, "the storage keeps the evidence: end its legal hold or retention policy first")
	}
	return err
}

// ended reports whether nothing follows what was read.
func ended(dec *json.Decoder) bool {
	_, err := dec.Token()
	return err == io.EOF
}

// maxReason is what the record takes, in bytes.
const maxReason = 1000

// reasonOf reads why a person decides. It is kept for good, and shown to many.
func reasonOf(r *customhandler.Request) (string, error) {
	var reason string
	if r.Method == http.MethodGet { // an export is read, and its reason goes without saying
		if err := known(r.Query, "reason"); err != nil {
			return "", err
		}
		if reason = r.Query.Get("reason"); reason == "" {
			reason = "for the incident's file"
		}
	} else {
		if err := known(r.Query); err != nil {
			return "", err
		}
		var body struct {
			Reason string `json:"reason"`
		}
		dec := json.NewDecoder(bytes.NewReader(r.Body))
		dec.DisallowUnknownFields()
		if dec.Decode(&body) != nil || !ended(dec) {
			return "", refuse(http.StatusBadRequest, `want {"reason": "..."} as the body, and nothing else`)
		}
		reason = body.Reason
	}
	reason = strings.TrimSpace(reason)
	switch {
	case reason == "":
		return "", refuse(http.StatusBadRequest, `the reason is missing: send {"reason": "..."}; it is recorded with the capture`)
	case len(reason) > maxReason:
		return "", refuse(http.StatusBadRequest, "the reason has more than %d bytes", maxReason)
	case strings.ContainsFunc(reason, func(r rune) bool { return !unicode.IsGraphic(r) || r == unicode.ReplacementChar }):
		return "", refuse(http.StatusBadRequest, "the reason has characters that can't be seen; write one line of plain text")
	}
	return reason, nil
}
