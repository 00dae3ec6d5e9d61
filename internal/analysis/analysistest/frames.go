package analysistest

import (
	"fmt"
	"strconv"
	"strings"
)

// Frames are frame numbers, ascending. Their text is short: "3 7-9".
type Frames []int64

// MarshalText writes runs of numbers as ranges.
func (f Frames) MarshalText() ([]byte, error) {
	var text []byte
	for i := 0; i < len(f); {
		last := i
		for last+1 < len(f) && f[last+1] == f[last]+1 {
			last++
		}
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, f[i], 10)
		if last > i {
			text = append(text, '-')
			text = strconv.AppendInt(text, f[last], 10)
		}
		i = last + 1
	}
	return text, nil
}

// UnmarshalText reads what MarshalText wrote.
func (f *Frames) UnmarshalText(text []byte) error {
	*f = nil
	for run := range strings.FieldsSeq(string(text)) {
		from, to, isRange := strings.Cut(run, "-")
		first, err := strconv.ParseInt(from, 10, 64)
		last := first
		if err == nil && isRange {
			last, err = strconv.ParseInt(to, 10, 64)
		}
		if err != nil || last-first > 1<<20 {
			return fmt.Errorf("frames %q: want numbers and ranges", run)
		}
		for n := first; n <= last; n++ {
			*f = append(*f, n)
		}
	}
	return nil
}

func (f Frames) String() string {
	text, _ := f.MarshalText()
	return string(text)
}
