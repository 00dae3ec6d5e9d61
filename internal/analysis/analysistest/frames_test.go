package analysistest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFramesText(t *testing.T) {
	tests := []struct {
		text   string
		frames Frames
	}{
		{"", nil},
		{"3", Frames{3}},
		{"1-2", Frames{1, 2}},
		{"1 3-5 9", Frames{1, 3, 4, 5, 9}},
	}
	for _, tt := range tests {
		if got := tt.frames.String(); got != tt.text {
			t.Errorf("%v: text %q, want %q", []int64(tt.frames), got, tt.text)
		}
		var got Frames
		if err := got.UnmarshalText([]byte(tt.text)); err != nil {
			t.Error(err)
		} else if diff := cmp.Diff(tt.frames, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
	for _, text := range []string{"x", "3-", "-", "1-99999999"} {
		if new(Frames).UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is taken for frames", text)
		}
	}
}
