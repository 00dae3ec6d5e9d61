package policy

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// What Network Watcher takes: five hours
// (https://learn.microsoft.com/azure/network-watcher/packet-capture-overview),
// and a 32-bit number of bytes.
const (
	maxTimeLimit  = 5 * time.Hour
	maxTotalBytes = 1<<32 - 1
	maxRetention  = 3650 * 24 * time.Hour
	maxPacket     = 262144 // the largest snap length of capture tools
)

var (
	durationPattern  = regexp.MustCompile(`^([0-9]{1,9}(\.[0-9]{1,9})?[hms])+$`)
	daysPattern      = regexp.MustCompile(`^([0-9]{1,6})d$`)
	sizePattern      = regexp.MustCompile(`^([0-9]{1,15})(B|KiB|MiB|GiB)$`)
	integerPattern   = regexp.MustCompile(`^(0|[1-9][0-9]{0,14})$`)
	namePattern      = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	groupPattern     = regexp.MustCompile(`^[A-Za-z0-9._()-]{1,90}$`)
	regionPattern    = regexp.MustCompile(`^[a-z0-9]{1,60}$`)
	storagePattern   = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	datePattern      = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)
	placeholderRegex = regexp.MustCompile(`^\{alert\.([A-Za-z_][A-Za-z0-9_.-]{0,63})\}$`)
)

// duration reads a positive whole number of seconds up to limit.
func (n node) duration(days bool, limit time.Duration) (time.Duration, bool) {
	s, ok := n.text()
	if !ok {
		return 0, false
	}
	units := "s, m or h, such as 90s or 5m"
	if days {
		units = "s, m, h or d, such as 7d"
	}
	var d time.Duration
	if m := daysPattern.FindStringSubmatch(s); days && m != nil {
		count, _ := strconv.Atoi(m[1]) // six digits
		d = time.Duration(count) * 24 * time.Hour
	} else if parsed, err := time.ParseDuration(s); err == nil && durationPattern.MatchString(s) {
		d = parsed
	} else {
		n.fail("%+q is no duration: a number with %s", shorten(s), units)
		return 0, false
	}
	switch {
	case d <= 0:
		n.fail("must be more than zero")
	case d%time.Second != 0:
		n.fail("must be whole seconds")
	case d > limit:
		n.fail("%s is more than %s, the longest there is", s, FormatDuration(limit))
	default:
		return d, true
	}
	return 0, false
}

// FormatDuration writes a duration as policy files do: 5m, 1h30m, 7d.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// size reads a positive number of bytes.
func (n node) size() (int64, bool) {
	s, ok := n.text()
	if !ok {
		return 0, false
	}
	m := sizePattern.FindStringSubmatch(s)
	if m == nil {
		n.fail("%+q is no size: a whole number with B, KiB, MiB or GiB, such as 100MiB", shorten(s))
		return 0, false
	}
	count, err := strconv.ParseInt(m[1], 10, 64)
	shift := map[string]int{"B": 0, "KiB": 10, "MiB": 20, "GiB": 30}[m[2]]
	switch {
	case err != nil || count > maxTotalBytes>>shift:
		n.fail("%s is more than %d bytes, the most that Network Watcher takes", s, int64(maxTotalBytes))
	case count == 0:
		n.fail("must be more than zero")
	default:
		return count << shift, true
	}
	return 0, false
}

// FormatSize writes bytes as policy files do: in the largest unit that is
// exact.
func FormatSize(b int64) string {
	for _, unit := range []struct {
		shift int
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if b >= 1<<unit.shift && b%(1<<unit.shift) == 0 {
			return strconv.FormatInt(b>>unit.shift, 10) + unit.name
		}
	}
	return strconv.FormatInt(b, 10) + "B"
}

// integer reads a whole decimal number from low to high.
func (n node) integer(low, high int64) (int64, bool) {
	s, ok := n.text()
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || !integerPattern.MatchString(s) || v < low || v > high {
		n.fail("%+q is no whole number from %d to %d", shorten(s), low, high)
		return 0, false
	}
	return v, true
}

// words reads text for people, or a name that others chose.
func (n node) words() (string, bool) {
	s, ok := n.text()
	if !ok {
		return "", false
	}
	s = strings.TrimSpace(s)
	unprintable := func(r rune) bool { return r != ' ' && !unicode.IsGraphic(r) || r == unicode.ReplacementChar }
	switch {
	case s == "":
		n.fail("is empty")
	case len(s) > 500:
		n.fail("is longer than 500 bytes")
	case strings.ContainsFunc(s, unprintable):
		n.fail("must be one line of printable text")
	default:
		return s, true
	}
	return "", false
}

// guid reads a subscription.
func (n node) guid() (string, bool) {
	s, ok := n.text()
	if ok && !resourceid.IsGUID(s) {
		n.fail("%+q is no subscription: its GUID, exactly; names and patterns do not count", shorten(s))
		return "", false
	}
	return strings.ToLower(s), ok
}

// resourceGroup reads the bare name of a resource group.
func (n node) resourceGroup() (string, bool) {
	s, ok := n.text()
	if !ok {
		return "", false
	}
	if !groupPattern.MatchString(s) || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		n.fail("%+q is no resource group: its bare ASCII name, exactly; no path, no pattern", shorten(s))
		return "", false
	}
	return strings.ToLower(s), true
}

// Region returns the name of a region as Azure compares it: "West Europe" is
// westeurope.
func Region(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, " ", ""))
}

// fold compares names as Azure does, ASCII only.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
