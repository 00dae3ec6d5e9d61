package report

import (
	"strings"
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	tests := []struct {
		in   time.Duration
		want string
	}{
		{0, "0 ns"}, {-3 * time.Second, "-3 s"}, {740, "740 ns"}, {1500, "1.5 µs"}, {999_600, "1 ms"}, {35_249_000, "35.2 ms"}, {999_600_000, "1 s"},
		{5004 * time.Millisecond, "5 s"}, {1210 * time.Millisecond, "1.21 s"}, {59_999 * time.Millisecond, "1 min"}, {243 * time.Second, "4 min 3 s"},
		{5 * time.Minute, "5 min"}, {time.Hour - 1, "1 h"}, {90 * time.Minute, "1 h 30 min"}, {26 * time.Hour, "1 d 2 h"}, {1<<63 - 1, "106751 d 23 h"},
		{-1 << 63, "-106751 d 23 h"},
	}
	for _, test := range tests {
		if got := span(test.in); got != test.want {
			t.Errorf("span(%v) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestWrap(t *testing.T) {
	tests := []struct {
		name, in, indent, want string
		width                  int
	}{
		{"fits", "one two", "", "one two", 10},
		{"breaks at a blank", "one two three", "  ", "  one two\n  three", 9},
		{"breaks a long word", "a 0123456789", " ", " a\n 01234\n 56789", 6},
		{"wide runes", "你好世界", "", "你好\n世界", 5},
		{"nothing", "", "  ", "", 5},
		{"no room at all", "ab", "    ", "    a\n    b", 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Wrap(test.in, test.width, test.indent); got != test.want {
				t.Errorf("Wrap = %q, want %q", got, test.want)
			}
		})
	}
}

func TestBytes(t *testing.T) {
	tests := []struct {
		in   int64
		want string
	}{{0, "0 B"}, {999, "999 B"}, {1000, "1 kB"}, {33_120, "33.1 kB"}, {999_700, "1 MB"}, {104_857_600, "105 MB"}, {1 << 62, "4.61e+06 TB"}}
	for _, test := range tests {
		if got := Bytes(test.in); got != test.want {
			t.Errorf("Bytes(%d) = %q, want %q", test.in, got, test.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range attacks {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, out := range []string{printable(s), printableText(s)} {
			for _, r := range out {
				if !shown(r) {
					t.Fatalf("%q became %q, which has %U", s, out, r)
				}
			}
			for line := range strings.SplitSeq(Wrap(out, width, "    "), "\n") {
				if columns(line) > width {
					t.Fatalf("line of %d columns: %q", columns(line), line)
				}
			}
		}
	})
}
