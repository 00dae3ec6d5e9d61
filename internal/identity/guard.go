package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// Guard returns f, an HTTP function, for those alone whom check knows and who
// are what is needed; f finds them with [CallerOf]. Others are answered with
// 401 or 403, and 503 while their token can't be checked. Refusals are logged,
// but no more than a few a minute: whoever guesses must not fill the log.
func Guard(f customhandler.Function, check Check, need Need, log *slog.Logger) customhandler.Function {
	refusals := &refusals{log: log, function: f.Name}
	return f.Wrap(func(next customhandler.Answer) customhandler.Answer {
		return func(ctx context.Context, r *customhandler.Request) (*customhandler.Response, error) {
			var c Caller
			var err error
			if all := r.Header.Values("Authorization"); len(all) > 1 {
				err = fmt.Errorf("%w: more than one Authorization header", ErrToken)
			} else if c, err = check(ctx, r.Header.Get("Authorization")); err == nil {
				err = need.check(c)
			}
			switch {
			case err == nil:
				return next(WithCaller(ctx, c), r)
			case errors.Is(err, ErrToken):
				telemetry.AuthRejects.Add(ctx, 1, "token")
				refusals.note(ctx, c, r, err)
				res := customhandler.Problem(ctx, http.StatusUnauthorized, err.Error())
				res.Header["WWW-Authenticate"] = "Bearer" // RFC 9110 section 11.6.1
				return res, nil
			case errors.Is(err, ErrForbidden):
				telemetry.AuthRejects.Add(ctx, 1, "forbidden")
				refusals.note(ctx, c, r, err)
				return customhandler.Problem(ctx, http.StatusForbidden, err.Error()), nil
			}
			return nil, err
		}
	})
}

// refusals are logged at most perMinute a minute.
type refusals struct {
	log      *slog.Logger
	function string

	mu     sync.Mutex
	minute time.Time
	seen   int
	silent int // since the last line
}

const perMinute = 10

func (s *refusals) note(ctx context.Context, c Caller, r *customhandler.Request, err error) {
	silent, ok := s.count(time.Now())
	if !ok {
		return
	}
	s.log.WarnContext(ctx, "caller refused", "of", s.function, "object", c.ObjectID, "app", c.AppID, "tenant", c.Tenant,
		"token", c.TokenID, "from", r.Caller.String(), "reason", err.Error(), "not_logged_before", silent)
}

func (s *refusals) count(now time.Time) (silent int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.minute) >= time.Minute {
		s.minute, s.seen = now, 0
	}
	if s.seen++; s.seen > perMinute {
		s.silent++
		return 0, false
	}
	silent, s.silent = s.silent, 0
	return silent, true
}
