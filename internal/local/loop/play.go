package loop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/local/scenario"
)

// alertFunction is the function that alerts go to.
const alertFunction = "startcaptures"

// Play fires the alert, plays the traffic, and waits until every capture is
// over and its findings are sent.
func (l *Loop) Play(ctx context.Context) ([]Outcome, error) {
	s := l.options.Scenario
	fired := time.Now().UTC()
	incidentID, err := l.fire(ctx, s.Alert(fired, time.Time{}), "fired")
	if err != nil {
		return nil, err
	}
	w := &watch{loop: l, incident: incidentID, shown: map[string]int{}}
	if err := w.until(ctx, func(c capture.Case) bool { return c.State != capture.Asked }); err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	followed := make(chan error, 1)
	go func() {
		followed <- w.until(following, func(c capture.Case) bool { return c.State.Done() })
	}()
	if err := l.stage.Play(ctx, func(step string) { l.show("traffic", "%s", step) }); err != nil {
		stop()
		<-followed
		return nil, fmt.Errorf("play the traffic: %w", err)
	}
	if s.ResolveAfter > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(s.ResolveAfter):
		}
		if _, err := l.fire(ctx, s.Alert(fired, time.Now().UTC()), "resolved"); err != nil {
			stop()
			<-followed
			return nil, err
		}
	}
	if err := <-followed; err != nil {
		return nil, err
	}
	return outcomes(s, w.cases), nil
}

// Action groups try again after these gaps, and only after 408, 429, 503, 504
// and failures of transport.
// https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups
var retries = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}

// fire sends an alert as an action group does, with shorter gaps. After a 500,
// which no action group repeats, it is sent as by another action group of the
// same alert rule: rules have up to five.
func (l *Loop) fire(ctx context.Context, alert []byte, what string) (incidentID string, err error) {
	if err := l.Raise(alert); err != nil {
		return "", err
	}
	var status int
	for n := 0; ; n++ {
		var answer []byte
		status, answer, err = l.Post(ctx, alert)
		if err == nil && status < 300 {
			var a struct {
				Incident string `json:"incident"`
			}
			if err := json.Unmarshal(answer, &a); err != nil {
				return "", fmt.Errorf("the answer to the alert is not JSON: %w", err)
			}
			l.show("alert", "%s, answered %d: incident %s", what, status, a.Incident)
			return a.Incident, nil
		}
		if err == nil && status < 500 {
			return "", fmt.Errorf("the alert was refused with %d: %s", status, bytes.TrimSpace(answer))
		}
		if n == len(retries) {
			break
		}
		l.warn("alert", "%s, answered %s: sent again", what, describe(status, err))
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(retries[n]):
		}
	}
	return "", fmt.Errorf("the alert could not be delivered: %s", describe(status, err))
}

func describe(status int, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(status)
}

// Post sends an alert to the app, once, and returns what it answers.
func (l *Loop) Post(ctx context.Context, body []byte) (status int, answer []byte, err error) {
	url, ok := l.Host.FunctionURL(alertFunction)
	if !ok {
		return 0, nil, fmt.Errorf("the app has no function %s", alertFunction)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("x-functions-key", l.Host.FunctionKey())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, answer, err
}

// A watch shows what the case records say, as they change.
type watch struct {
	loop     *Loop
	incident string
	shown    map[string]int // lines of history, by case
	cases    []capture.Case
}

// until returns when every case of the incident is as wanted.
func (w *watch) until(ctx context.Context, wanted func(capture.Case) bool) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := w.look(ctx, wanted)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func (w *watch) look(ctx context.Context, wanted func(capture.Case) bool) (bool, error) {
	i, err := w.loop.Ledger.Incident(ctx, w.incident)
	if errors.Is(err, ledger.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	cases, err := w.loop.Ledger.Cases(ctx, i)
	if err != nil {
		return false, err
	}
	done := len(cases) == len(i.Cases)
	for _, c := range cases {
		for n := w.shown[c.ID]; n < len(c.History); n++ {
			w.loop.show("capture", "%s: %s", nameOf(c.Target), c.History[n].What)
		}
		w.shown[c.ID] = len(c.History)
		done = done && wanted(c)
	}
	w.cases = cases
	return done, nil
}

func nameOf(target string) string {
	return strings.ToLower(target[strings.LastIndexByte(target, '/')+1:])
}

func outcomes(s scenario.Scenario, cases []capture.Case) []Outcome {
	var all []Outcome
	for _, c := range cases {
		o := Outcome{Machine: nameOf(c.Target), Case: c}
		for _, m := range s.Machines {
			if strings.EqualFold(m.ID, c.Target) {
				o.Role = m.Role
			}
		}
		for _, e := range s.Expect {
			if strings.EqualFold(e.Machine, c.Target) && len(c.Files) > 0 {
				f := c.Files[0]
				o.Matches = f.Cause == e.Cause && f.Culprit == string(e.Culprit)
			}
		}
		all = append(all, o)
	}
	return all
}
