package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/pcapwarden/pcapwarden/functions/captures"
	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// exitRefused is of what the caller's role or the capture's state forbids.
const exitRefused = 3

// capturesCommands are the words after "captures".
var capturesCommands = []struct {
	name, method, action, summary string
}{
	{"list", http.MethodGet, "", "the captures, the latest first"},
	{"show", http.MethodGet, "", "all that is known of one: state, filters, limits, files, history"},
	{"approve", http.MethodPost, "approve", "have one start that awaits approval"},
	{"reject", http.MethodPost, "reject", "have one never start that awaits approval"},
	{"stop", http.MethodPost, "stop", "end one before its limits do"},
	{"delete", http.MethodDelete, "", "delete the evidence of one before its date"},
	{"hold", http.MethodPost, "hold", "keep the evidence of one past its date"},
	{"release", http.MethodPost, "release", "end a hold"},
	{"export", http.MethodGet, "export", "the record of one as JSON, with who did what"},
}

// An asker asks the captures function, in Azure or on this machine. A refusal
// is a *captures.Error.
type asker func(ctx context.Context, r captureCall) ([]byte, error)

// A captureCall is one request to the captures function.
type captureCall struct {
	method, id, action string
	query              url.Values
	reason             string
}

func capturesCommand(ctx context.Context, e environment, args []string) int {
	usage := func(w io.Writer) {
		fmt.Fprint(w, "usage: pcapwarden captures COMMAND [FLAGS] [ID]\n\n")
		for _, c := range capturesCommands {
			fmt.Fprintf(w, "  %-8s %s\n", c.name, c.summary)
		}
		fmt.Fprint(w, `
An ID may be cut short as long as it is the only one that begins like that.
With --app the app in Azure is asked, as the person signed in with az login,
and with the function key of PCAPWARDEN_FUNCTION_KEY; without it, the records
that a local run left in --out. Each command tells its flags with -h.

exit: 0 done; 1 failed; 2 wrong use; 3 refused by role or state
`)
	}
	if len(args) == 0 {
		usage(e.stderr)
		return exitUsage
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(e.stdout)
		return exitOK
	}
	n := slices.IndexFunc(capturesCommands, func(c struct{ name, method, action, summary string }) bool { return c.name == args[0] })
	if n < 0 {
		fmt.Fprintf(e.stderr, "pcapwarden captures: there is no command %q\n\n", args[0])
		usage(e.stderr)
		return exitUsage
	}
	c := capturesCommands[n]
	call := captureCall{method: c.method, action: c.action, query: url.Values{}}

	flags := flag.NewFlagSet("pcapwarden captures "+c.name, flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	app := flags.String("app", "", "`URL` of the app, such as https://NAME.azurewebsites.net")
	audience := flags.String("audience", e.getenv("PCAPWARDEN_AUDIENCE"), "with --app, the `AUDIENCE` of its app registration")
	out := flags.String("out", ".local", "without --app, the `DIR` that a local run left")
	format := choice{"text", []string{"text", "json"}}
	flags.Var(&format, "format", "`FORMAT` of the answer: text or json")
	filters := map[string]*string{}
	if c.name == "list" {
		for name, doc := range map[string]string{
			"state": "only those in `STATE`, or open", "incident": "only those of the incident `ID`",
			"target": "only those whose machine has `TEXT` in its ID", "profile": "only those of the profile `NAME`",
			"since": "only those since `TIME`, such as 2026-05-04T02:00:00Z, or as long ago, such as 24h or 7d",
			"limit": "at most `N`",
		} {
			filters[name] = flags.String(name, "", doc)
		}
	}
	if c.method != http.MethodGet || c.name == "export" {
		flags.StringVar(&call.reason, "reason", "", "`WHY`; it is recorded with the capture")
	}
	rest, err := parse(flags, args[1:])
	if err != nil {
		return usageCode(err)
	}
	wrong := func(text string, a ...any) int {
		fmt.Fprintf(e.stderr, "pcapwarden captures %s: "+text+"\n", append([]any{c.name}, a...)...)
		return exitUsage
	}
	for name, value := range filters {
		if *value != "" {
			call.query.Set(name, *value)
		}
	}
	switch {
	case c.name == "list" && len(rest) > 0:
		return wrong("%q is too much; narrow the list with flags", rest[0])
	case c.name != "list" && (len(rest) != 1 || rest[0] == ""):
		return wrong("want the ID of one capture; pcapwarden captures list tells them")
	case c.method != http.MethodGet && strings.TrimSpace(call.reason) == "":
		return wrong("want --reason WHY; it is recorded with the capture")
	}
	if c.name == "export" && call.reason != "" {
		call.query.Set("reason", call.reason)
	}

	var ask asker
	if *app != "" {
		if ask, err = askApp(e, *app, *audience); err != nil {
			return wrong("%v", err)
		}
	} else if ask, err = askFolder(*out); err != nil {
		return failed(e, c.name, err)
	}
	if c.name != "list" {
		if call.id, err = fullID(ctx, ask, rest[0]); err != nil {
			return failed(e, c.name, err)
		}
	}
	answer, err := ask(ctx, call)
	if err != nil {
		return failed(e, c.name, err)
	}
	if format.value == "json" || c.name == "export" {
		err = printJSON(e.stdout, answer)
	} else if c.name == "list" {
		err = printCaptures(e, answer)
	} else {
		err = printCapture(e.stdout, answer, c.name)
	}
	if err != nil {
		return failed(e, c.name, err)
	}
	return exitOK
}

// failed says what went wrong, and returns the exit code for it.
func failed(e environment, name string, err error) int {
	fmt.Fprintf(e.stderr, "pcapwarden captures %s: %s\n", name, legible(err.Error()))
	if refused, ok := errors.AsType[*captures.Error](err); ok {
		switch refused.Status {
		case http.StatusForbidden, http.StatusConflict:
			return exitRefused
		case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge:
			return exitUsage
		}
	}
	return exitError
}

// likeID matches IDs and parts of them.
var likeID = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// fullID completes an ID that was cut short.
func fullID(ctx context.Context, ask asker, id string) (string, error) {
	if !likeID.MatchString(id) {
		return "", errors.New("no capture has such an ID; pcapwarden captures list tells them")
	}
	if len(id) >= len(capture.Name("", "", "")) {
		return id, nil
	}
	if !strings.HasPrefix(id, capture.Prefix) && !strings.HasPrefix(capture.Prefix, id) {
		id = capture.Prefix + id
	}
	answer, err := ask(ctx, captureCall{method: http.MethodGet, query: url.Values{"id": {id}, "limit": {"10"}}})
	if err != nil {
		return "", err
	}
	var l captures.List
	if err := json.Unmarshal(answer, &l); err != nil {
		return "", fmt.Errorf("read the list of captures: %w", err)
	}
	switch len(l.Captures) {
	case 0:
		return "", fmt.Errorf("no capture has an ID that begins with %s; pcapwarden captures list tells them", id)
	case 1:
		return l.Captures[0].ID, nil
	}
	var all []string
	for _, c := range l.Captures {
		all = append(all, c.ID)
	}
	return "", &captures.Error{
		Status: http.StatusBadRequest, Detail: fmt.Sprintf("more than one capture begins with %s: %s", id, strings.Join(all, ", ")),
	}
}
