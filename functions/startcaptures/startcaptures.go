// Package startcaptures is the function that answers an alert with packet
// captures.
package startcaptures

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// Name is the function's folder, path and name in telemetry.
const Name = "startcaptures"

// patience is below the 230 s after which Azure's front end hangs up: whoever
// sent the alert should hear an answer, and the rest is the sweep's.
const patience = 200 * time.Second

// New returns the function. It answers 202 when captures are recorded and
// started, about to be, or wait for an approval; 200 when the alert is
// resolved; 4xx when the policy refuses, and sending the alert again would not
// help; 503 when it would.
func New(s *capture.Starter) customhandler.Function {
	return customhandler.HTTP(Name, alert.MaxBytes, func(ctx context.Context, r *customhandler.Request) (*customhandler.Response, error) {
		a, err := alert.Parse(r.Body)
		if refused, ok := errors.AsType[*alert.Error](err); ok {
			if refused.Reason == alert.TooLarge || refused.Reason == alert.TooManyTargets {
				return nil, customhandler.Refused(http.StatusRequestEntityTooLarge, err)
			}
			return nil, customhandler.Permanent(err)
		}
		if err != nil {
			return nil, err
		}
		result, err := s.Start(ctx, &a, customhandler.TraceParent(ctx))
		if err != nil {
			return nil, err
		}
		for _, refused := range result.Refused {
			s.Log.WarnContext(ctx, "target refused", "incident", result.Incident, "target", refused.Target, "profile", result.Profile, "reason", string(refused.Reason))
		}
		count(ctx, result)
		return &customhandler.Response{Status: status(&a, result), Body: answer(result)}, nil
	}).Within(patience)
}

// count tells what was decided, by the policy's own words.
func count(ctx context.Context, r capture.Result) {
	result := "accepted"
	if r.Known {
		result = "known"
	}
	for _, c := range r.Cases {
		telemetry.Intents.Add(ctx, 1, result, string(c.State))
	}
	for _, refusal := range r.Refused {
		telemetry.Intents.Add(ctx, 1, "refused", string(refusal.Reason))
		if refusal.Reason == policy.OutOfScope {
			telemetry.ScopeRejects.Add(ctx, 1, string(refusal.Reason))
		}
	}
}

// status is the answer's code. Action groups take any 4xx as final.
func status(a *alert.Alert, r capture.Result) int {
	switch {
	case len(r.Cases) > 0:
		return http.StatusAccepted
	case slices.ContainsFunc(r.Refused, func(r policy.Refusal) bool { return r.Reason == capture.Forged || r.Reason == capture.Unverified }):
		return http.StatusForbidden
	case a.Condition == alert.Resolved:
		return http.StatusOK
	}
	code := http.StatusForbidden
	for _, refusal := range r.Refused {
		switch refusal.Reason {
		case policy.TargetInvalid, policy.TimeInvalid, policy.NoTarget, policy.TestAction, policy.ProfileUnknown:
			code = http.StatusBadRequest
		}
	}
	return code
}

// An outcome is what happens to one target.
type outcome struct {
	Target  string `json:"target"`
	Capture string `json:"capture,omitempty"`
	State   string `json:"state,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

type body struct {
	Incident string    `json:"incident"`
	Profile  string    `json:"profile,omitempty"`
	Known    bool      `json:"known"` // the alert had come before
	Captures []outcome `json:"captures"`
	Refused  []outcome `json:"refused"`
}

func answer(r capture.Result) body {
	b := body{Incident: r.Incident, Profile: r.Profile, Known: r.Known, Captures: []outcome{}, Refused: []outcome{}}
	for _, c := range r.Cases {
		b.Captures = append(b.Captures, outcome{Target: c.Target, Capture: c.ID, State: string(c.State), Message: c.Reason})
	}
	for _, refusal := range r.Refused {
		b.Refused = append(b.Refused, outcome{Target: refusal.Target, Reason: string(refusal.Reason), Message: refusal.Message})
	}
	return b
}
