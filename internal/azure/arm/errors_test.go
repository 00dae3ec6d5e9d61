package arm

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	tests := []struct {
		name, header, value string
		want                time.Duration
	}{
		{"none", "Retry-After", "", 0},
		{"seconds", "Retry-After", "17", 17 * time.Second},
		{"date", "Retry-After", "Mon, 23 Nov 2026 02:01:00 GMT", time.Minute},
		{"date_past", "Retry-After", "Mon, 23 Nov 2026 01:00:00 GMT", 0},
		{"negative", "Retry-After", "-5", 0},
		{"absurd", "Retry-After", "2000000000", 24 * time.Hour},
		{"too_large_for_a_number", "Retry-After", "99999999999999999999", 0},
		{"words", "Retry-After", "soon", 0},
		{"milliseconds", "Retry-After-Ms", "1500", 1500 * time.Millisecond},
		{"milliseconds_by_service", "X-Ms-Retry-After-Ms", "20", 20 * time.Millisecond},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			h.Set(c.header, c.value)
			if got := retryAfter(h, now); got != c.want {
				t.Errorf("retryAfter(%s: %s) = %v, want %v", c.header, c.value, got, c.want)
			}
		})
	}
}

func answer(status int, body []byte) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}
}

var signature = regexp.MustCompile(`sig=[^…\s&"']`)

func FuzzClassify(f *testing.F) {
	f.Add(404, []byte(`{"error":{"code":"NotFound","message":"Resource x not found.","details":[]}}`))
	f.Add(403, []byte(`{"error":{"code":"AuthorizationFailed","message":"does not have authorization to perform action 'Microsoft.Compute/virtualMachines/read' over scope"}}`))
	f.Add(429, []byte(`{"code":"RetryableErrorDueToAnotherOperation","message":"later"}`))
	f.Add(500, []byte(`<html>`))
	f.Add(200, []byte(`{"error":null}`))
	f.Add(400, []byte("{\"error\":{\"message\":\"https://a/b?sig=x \\u0000 \xff\"}}"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		err := classify(ReadMachines, runtime.NewResponseError(answer(status, body)))
		text := err.Error()
		if len(text) > 1500 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) || signature.MatchString(text) {
			t.Errorf("error of %d bytes: %q", len(text), text)
		}
		if errors.Is(err, capture.ErrNotFound) && status != http.StatusNotFound {
			t.Errorf("HTTP %d became ErrNotFound", status)
		}
	})
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte(`{"captureStartTime":"2022-02-07T19:50:27.6873156Z","packetCaptureStatus":"Running","packetCaptureError":["x"]}`))
	f.Add([]byte(`{"packetCaptureStatus":null,"packetCaptureError":[{"a":[1]},null,1e9]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := readStatus(answer(200, body))
		if err == nil && (s.State == "" || len(s.Errors) > maxErrors+1) {
			t.Errorf("status %+v", s)
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v")
	f.Add("/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkWatchers/n/packetCaptures/p")
	f.Add("/subscriptions/s/resourceGroups/../providers/Microsoft.Compute/virtualMachines/v")
	f.Add("/subscriptions//providers/x")
	f.Fuzz(func(t *testing.T, id string) {
		p, err := parseID(id)
		if err != nil {
			return
		}
		for _, part := range []string{p.SubscriptionID, p.ResourceGroupName, p.Name} {
			if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "/?#%\\") {
				t.Errorf("parseID(%q) has the part %q", id, part)
			}
		}
		if at, name, err := parseSession(id); err == nil && (at.name == "" || name == "") {
			t.Errorf("parseSession(%q) = %+v, %q", id, at, name)
		}
	})
}
