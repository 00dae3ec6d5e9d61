package customhandler

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestScannerLimits(t *testing.T) {
	tests := []struct {
		name, in string
		read     func(s *scanner) error
		want     error
	}{
		{"text_at_the_limit", `"\u00e9b"`, func(s *scanner) error { _, err := s.text(3); return err }, nil},
		{"text_above_the_limit", `"\u00e9bc"`, func(s *scanner) error { _, err := s.text(3); return err }, errTooLong},
		{"raw_at_the_limit", ` [1,"é"]`, func(s *scanner) error { _, err := s.raw(8); return err }, nil},
		{"raw_above_the_limit", ` [1,"é"]`, func(s *scanner) error { _, err := s.raw(7); return err }, errTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.read(scannerOf([]byte(tt.in))); !errors.Is(err, tt.want) {
				t.Errorf("err = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestScannerDepth(t *testing.T) {
	for depth, want := range map[int]bool{maxDepth: true, maxDepth + 1: false} {
		in := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		if err := scannerOf([]byte(in)).skip(); (err == nil) != want {
			t.Errorf("depth %d: err = %v", depth, err)
		}
	}
	siblings := "[" + strings.Repeat("[],", 10*maxDepth) + "{}]"
	if err := scannerOf([]byte(siblings)).skip(); err != nil {
		t.Errorf("siblings: %v", err)
	}
}

// The scanner agrees with encoding/json, but for what it refuses on purpose.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		tickJSON, `"\ud83d\ude00"`, `"\ud83d"`, `-0.1e+9`, `01`, `-`, `1.`, `[1,]`, `{"a":1,}`, `{"a" :null} `, `tru`, "\"\xff\"", "\uFEFF{}", "", " ", "\"\x1f\"", `"\x"`, `[[[]]]`, `1e`, `"\u12"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := scannerOf(in)
		raw, err := s.raw(int64(len(in)))
		if err == nil {
			err = s.end()
		}
		want := json.Valid(in) && utf8.Valid(in)
		if got := err == nil; got != want && !(want && strings.Contains(err.Error(), "nested")) {
			t.Fatalf("%q: err = %v, encoding/json says %v", in, err, want)
		}
		if err != nil {
			return
		}
		if string(raw) != strings.Trim(string(in), " \t\r\n") {
			t.Fatalf("%q: raw = %q", in, raw)
		}
		var text string
		if json.Unmarshal(in, &text) != nil {
			return
		}
		got, err := scannerOf(in).text(int64(len(in)))
		if err != nil && strings.Contains(err.Error(), "surrogate") {
			return
		}
		if raw[0] == '"' && (err != nil || string(got) != text) {
			t.Fatalf("%q: text = %q, %v, want %q", in, got, err, text)
		}
	})
}

// Whatever comes in, the host gets an answer that it understands.
func FuzzInvocation(f *testing.F) {
	nothing := func(context.Context, Message) error { return nil }
	h, err := New(slog.New(slog.DiscardHandler), Options{},
		HTTP("f0", 64, func(_ context.Context, r *Request) (*Response, error) {
			if len(r.Body) > 64 {
				panic("limit")
			}
			return nil, nil
		}),
		Timer("f1", func(context.Context, Tick) error { return nil }),
		ServiceBus("f2", Binary, 64, nothing),
		ServiceBus("f3", Text, 64, nothing),
		EventGrid("f4", func(context.Context, []json.RawMessage) error { return nil }))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), []byte(alertInvocation(`{"a":1}`)))
	f.Add(uint8(0), []byte(`{"Data":{"req":{"Method":"PUT","Headers":{"Content-Type":["application/octet-stream"]},"Body":"AQ=="}}}`))
	f.Add(uint8(1), []byte(tickJSON))
	f.Add(uint8(2), []byte(`{"Data":{"m":"AQ=="},"Metadata":{"MessageId":"\"x\"","DeliveryCount":"1"}}`))
	f.Add(uint8(3), []byte(`{"Data":{"m":"\"a\""},"Metadata":{}}`))
	f.Add(uint8(4), []byte(`{"Data":{"e":"[{},{}]"}}`))
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, hostRequest("/f"+string('0'+rune(n%5)), strings.NewReader(string(body))))
		switch w.Code {
		case 200, 400, 413:
		default:
			t.Errorf("status = %d for %q", w.Code, body)
		}
		checkAnswer(t, w)
	})
}
