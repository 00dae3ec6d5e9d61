package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Wrap breaks text at blanks so that no line is wider than width columns, each
// begun with indent. A word that has no place in a line is broken too.
func Wrap(text string, width int, indent string) string {
	var b strings.Builder
	room := max(width-columns(indent), 1)
	column := 0 // after the indent
	for word := range strings.FieldsSeq(text) {
		n := columns(word)
		switch {
		case b.Len() == 0:
			b.WriteString(indent)
		case column+1+n > room:
			b.WriteString("\n" + indent)
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		for n > room {
			head := cut(word, room)
			b.WriteString(head + "\n" + indent)
			word = word[len(head):]
			n = columns(word)
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// cut returns the beginning of s that n columns hold, at least one rune.
func cut(s string, n int) string {
	for i, r := range s {
		if n--; wide(r) {
			n--
		}
		if n < 0 && i > 0 {
			return s[:i]
		}
	}
	return s
}

// shorten cuts printable text to n runes.
func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return strings.TrimRight(string([]rune(s)[:n-1]), " ,;") + "…"
}

// Bytes writes a number of bytes with three digits: "3.21 MB".
func Bytes(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v := float64(n)
	i := 0
	for v >= 999.5 && i < len(units)-1 {
		v /= 1000
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.3g %s", v, units[i])
}

// span writes a duration with about three digits: "35.2 ms", "4 min 3 s".
func span(d time.Duration) string {
	digits := func(v float64, unit string) string {
		decimals := 2 - int(math.Log10(max(v, 1)))
		s := strconv.FormatFloat(v, 'f', max(decimals, 0), 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s + " " + unit
	}
	switch {
	case d == math.MinInt64:
		return span(d + 1)
	case d < 0:
		return "-" + span(-d)
	case d < time.Microsecond:
		return strconv.FormatInt(int64(d), 10) + " ns"
	case d < time.Millisecond-500:
		return digits(float64(d)/float64(time.Microsecond), "µs")
	case d < time.Second-500*time.Microsecond:
		return digits(float64(d)/float64(time.Millisecond), "ms")
	case d < time.Minute-5*time.Millisecond:
		return digits(d.Seconds(), "s")
	case d < time.Hour-500*time.Millisecond:
		return pair(d.Round(time.Second), time.Minute, "min", time.Second, "s")
	case d < 24*time.Hour-30*time.Second:
		return pair(d.Round(time.Minute), time.Hour, "h", time.Minute, "min")
	}
	return pair(d.Round(time.Hour), 24*time.Hour, "d", time.Hour, "h")
}

func pair(d, major time.Duration, majorUnit string, minor time.Duration, minorUnit string) string {
	s := fmt.Sprintf("%d %s", d/major, majorUnit)
	if rest := d % major / minor; rest > 0 {
		s += fmt.Sprintf(" %d %s", rest, minorUnit)
	}
	return s
}

// count groups the digits of n with thin spaces that do not break.
func count[N int | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// times writes one, or several: "1 packet", "2 packets".
func times[N int | int64](n N, what string) string {
	return strconv.FormatInt(int64(n), 10) + " " + plural(int(n), what)
}

// plural is the word for n of what.
func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

const (
	momentLayout = "2006-01-02 15:04:05.000"
	clockLayout  = "15:04:05.000"
	minuteLayout = "2006-01-02 15:04:05"
)

// period writes two moments in UTC, the date of the second only if it is
// another one.
func period(first, last time.Time) string {
	first, last = first.UTC(), last.UTC()
	switch {
	case first.Equal(last):
		return first.Format(momentLayout) + " UTC"
	case first.Format(time.DateOnly) == last.Format(time.DateOnly):
		return first.Format(momentLayout) + " to " + last.Format(clockLayout) + " UTC"
	}
	return first.Format(momentLayout) + " to " + last.Format(momentLayout) + " UTC"
}

// moment writes a time in UTC to the second.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(minuteLayout) + " UTC"
}
