package captures

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// ListSchema is the version of a [List].
const ListSchema = "pcapwarden.captures/v1"

// A List is the captures of a query, the latest first.
type List struct {
	Schema   string    `json:"schema"`
	Captures []Summary `json:"captures"`
	More     bool      `json:"more"` // there are more than the limit lets through
	// Unreadable is about records that are left out.
	Unreadable string `json:"unreadable,omitempty"`
}

// most is how many captures are listed at most, and unless said otherwise.
const most = 1000

// states are those that a list can be of.
var states = []capture.State{
	capture.Asked, capture.Awaiting, capture.Capturing, capture.Ended, capture.Analysed, capture.Closed,
	capture.Expired, capture.Held, capture.Lost, capture.Declined, capture.Rejected, capture.Joined,
}

// open stands for every state in which something is left to do.
const open = "open"

func list(ctx context.Context, d *capture.Desk, q url.Values) (List, error) {
	answer := List{Schema: ListSchema, Captures: []Summary{}}
	if err := known(q, "state", "incident", "target", "profile", "since", "id", "limit"); err != nil {
		return answer, err
	}
	query := capture.Query{
		Incident: q.Get("incident"), Target: q.Get("target"), Profile: q.Get("profile"), Closed: q.Get("state") != open, Most: math.MaxInt,
	}
	if s := capture.State(q.Get("state")); s != "" && s != open {
		if !slices.Contains(states, s) {
			return answer, refuse(http.StatusBadRequest, "state: want open, or one of %s", join(states))
		}
		query.State, query.Closed = s, s.Done()
	}
	var err error
	if query.Since, err = since(q.Get("since"), d.Sweeper.Starter.Now()); err != nil {
		return answer, err
	}
	limit := most
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > most {
			return answer, refuse(http.StatusBadRequest, "limit: want a number from 1 to %d", most)
		}
	}
	cases, err := d.List(ctx, query)
	switch {
	case errors.Is(err, ledger.ErrCorrupt):
		text := err.Error()
		answer.Unreadable = text[:min(len(text), maxReason)]
	case errors.Is(err, ledger.ErrNotFound): // no incident can have that ID
		return answer, nil
	case err != nil:
		return answer, err
	}
	for _, c := range cases {
		if !strings.HasPrefix(c.ID, q.Get("id")) {
			continue
		}
		if answer.More = len(answer.Captures) == limit; answer.More {
			break
		}
		answer.Captures = append(answer.Captures, summary(c))
	}
	return answer, nil
}

// since reads a time, or how long ago it was.
func since(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, refuse(http.StatusBadRequest, "since: want a time such as 2026-05-04T02:00:00Z or 2026-05-04, or how long ago, such as 90m, 24h or 7d")
}

// known refuses a query with other keys: one that is misspelt would pick too
// much.
func known(q url.Values, keys ...string) error {
	for key, values := range q {
		if len(values) > 1 || !slices.Contains(keys, key) {
			if len(keys) == 0 {
				return refuse(http.StatusBadRequest, "no parameter goes into the query here")
			}
			return refuse(http.StatusBadRequest, "the query takes %s, each once", strings.Join(keys, ", "))
		}
	}
	return nil
}

func join(all []capture.State) string {
	var words []string
	for _, s := range all {
		words = append(words, string(s))
	}
	return strings.Join(words, ", ")
}
