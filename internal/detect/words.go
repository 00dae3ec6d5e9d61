package detect

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Count says how many: "1 connection", "3 connections", "3 queries". The plural
// of what ends in s, x or h takes "es".
func Count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "ry"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	case strings.HasSuffix(what, "s") || strings.HasSuffix(what, "x") || strings.HasSuffix(what, "h"):
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// OutOf says which part of all: "2 of 7 connections", "all 7 connections",
// "both connections", "the only connection".
func OutOf(n, all int, what string) string {
	switch {
	case n != all || all < 1:
		return fmt.Sprintf("%d of %s", n, Count(all, what))
	case all == 1:
		return "the only " + what
	case all == 2:
		return "both " + strings.TrimPrefix(Count(2, what), "2 ")
	}
	return "all " + Count(all, what)
}

// Begin makes words begin a sentence.
func Begin(words string) string {
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// Span says how long, in three figures at most: "0.8 ms", "48 ms", "1.35 s",
// "4 min 10 s", "2 h 5 min".
func Span(d time.Duration) string {
	figures := func(v float64, unit string) string {
		digits := max(0, 2-int(math.Log10(max(v, 1))))
		s := strconv.FormatFloat(v, 'f', digits, 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s + " " + unit
	}
	both := func(a time.Duration, unit string, b time.Duration, rest string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, unit)
		}
		return fmt.Sprintf("%d %s %d %s", a, unit, b, rest)
	}
	switch {
	case d < 0:
		return "-" + Span(-d)
	case d < time.Second:
		return figures(float64(d)/1e6, "ms")
	case d < 2*time.Minute:
		return figures(float64(d)/1e9, "s")
	case d < 2*time.Hour:
		d = d.Round(time.Second)
		return both(d/time.Minute, "min", d%time.Minute/time.Second, "s")
	}
	d = d.Round(time.Minute)
	return both(d/time.Hour, "h", d%time.Hour/time.Minute, "min")
}

// Share says which part: "3.2 %".
func Share(part, of int) string {
	if of == 0 {
		return "0 %"
	}
	p := 100 * float64(part) / float64(of)
	if p >= 10 || p == 0 {
		return fmt.Sprintf("%.0f %%", p)
	}
	return strings.Replace(fmt.Sprintf("%.2g %%", p), ".0 ", " ", 1)
}

// Clock says when: "02:10:05 UTC".
func Clock(t pcap.Timestamp) string { return t.Time().UTC().Format("15:04:05 UTC") }

// Seconds is d as a finding's detail holds it: in seconds, to the millisecond.
func Seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1e3) / 1e3 }

// Percent is a share as a finding's detail holds it: to one hundredth.
func Percent(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return math.Round(1e4*float64(part)/float64(of)) / 100
}

// Tenths rounds what a finding's detail holds to one tenth.
func Tenths(v float64) float64 { return math.Round(10*v) / 10 }
