package functionshost

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// A schedule is a NCRONTAB expression, in UTC as the host reads it unless
// WEBSITE_TIME_ZONE says otherwise.
type schedule struct{ spec *cron.SpecSchedule }

// anyDay marks a field as unrestricted for cron: with it on the day of the
// week, both day fields must match, as in NCRONTAB. cron itself would take
// either.
const anyDay = 1 << 63

var ncrontab = cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

func parseSchedule(text string) (schedule, error) {
	if n := len(strings.Fields(text)); n != 6 || strings.ContainsAny(text, "@?=") {
		return schedule{}, fmt.Errorf("%q is no NCRONTAB expression; want {second} {minute} {hour} {day} {month} {day of week}", text)
	}
	parsed, err := ncrontab.Parse(text)
	if err != nil {
		return schedule{}, fmt.Errorf("%q is no NCRONTAB expression: %w", text, err)
	}
	spec := parsed.(*cron.SpecSchedule) // the only schedule without descriptors
	spec.Location = time.UTC
	spec.Dow |= anyDay
	return schedule{spec}, nil
}

// next is the first occurrence after t, zero when there is none within years.
func (s schedule) next(t time.Time) time.Time { return s.spec.Next(t.UTC()) }

// isFrequent says that it fires more than once a minute at times: the host
// then keeps no status.
func (s schedule) isFrequent(t time.Time) bool {
	for range 10 {
		next := s.next(t)
		if after := s.next(next); after.Sub(next) < time.Minute {
			return !after.IsZero()
		}
		t = next
	}
	return false
}
