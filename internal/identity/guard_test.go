package identity

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/customhandler"
)

// Whoever guesses tokens does not fill the log, and what was left out is
// counted in the next line.
func TestRefusalsAreLoggedSparingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &refusals{log: slog.New(slog.NewTextHandler(&out, nil)), function: "captures"}
		r := &customhandler.Request{Header: http.Header{"Authorization": {"Bearer hunter2"}}}
		for range 1000 {
			s.note(t.Context(), Caller{ObjectID: "o"}, r, ErrToken)
		}
		if n := strings.Count(out.String(), "\n"); n != perMinute {
			t.Errorf("%d lines in a minute, want %d", n, perMinute)
		}
		out.Reset()
		time.Sleep(time.Minute)
		s.note(t.Context(), Caller{ObjectID: "o"}, r, ErrToken)
		if !strings.Contains(out.String(), "not_logged_before=990") || strings.Contains(out.String(), "hunter2") {
			t.Errorf("the line after a minute is %s", &out)
		}
	})
}

func TestNeed(t *testing.T) {
	ann := Caller{AppID: "app", Roles: []string{Reader}}
	tests := []struct {
		need Need
		ok   bool
	}{
		{Need{Roles: []string{Reader}}, true},
		{Need{Roles: []string{Operator, Reader}}, true},
		{Need{App: "APP", Roles: []string{Reader}}, true},
		{Need{App: "other", Roles: []string{Reader}}, false},
		{Need{Roles: []string{Operator}}, false},
		{Need{}, false}, // no role is no permission
	}
	for _, tt := range tests {
		if err := tt.need.check(ann); (err == nil) != tt.ok {
			t.Errorf("%+v: %v, want ok = %v", tt.need, err, tt.ok)
		}
	}
	if CallerOf(t.Context()).Has(Reader, Operator, Approver, Alerts) {
		t.Error("nobody has a role")
	}
}
