package customhandler

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const tickJSON = `{"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":{"Last":"2026-04-05T06:06:00.0000001+00:00","Next":"2026-04-05T06:07:00+00:00","LastUpdated":"2026-04-05T06:06:00.0000001+00:00"},"IsPastDue":true}},"Metadata":{"sys":{"MethodName":"sweep"}}}`

func TestTimer(t *testing.T) {
	last := time.Date(2026, 4, 5, 6, 6, 0, 100, time.UTC)
	tests := []struct {
		name, body string
		want       Tick
	}{
		{"monitored", tickJSON, Tick{true, &ScheduleStatus{last, time.Date(2026, 4, 5, 6, 7, 0, 0, time.UTC), last}}},
		{"not_monitored", `{"Data":{"timer":{"ScheduleStatus":null,"IsPastDue":false}}}`, Tick{}},
		{"first_run", `{"Metadata":{},"Data":{"t":{"ScheduleStatus":{"Last":"0001-01-01T00:00:00+00:00","Next":"2026-04-05T08:07:00+02:00","LastUpdated":"0001-01-01T00:00:00+00:00"},"IsPastDue":false}}}`,
			Tick{false, &ScheduleStatus{Next: time.Date(2026, 4, 5, 6, 7, 0, 0, time.UTC)}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []Tick
			h, _ := newHandler(t, Options{}, Timer("sweep", func(_ context.Context, tick Tick) error { got = append(got, tick); return nil }))
			if status, _ := post(t, h, "/sweep", tt.body); status != 200 {
				t.Errorf("status = %d", status)
			}
			if diff := cmp.Diff([]Tick{tt.want}, got, cmp.Comparer(time.Time.Equal)); diff != "" {
				t.Errorf("ticks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceBus(t *testing.T) {
	body := "{\"id\":\"é\",\n\"n\":1}"
	binary := `{"Data":{"msg":"` + base64.StdEncoding.EncodeToString([]byte(body)) + `"},"Metadata":%s}`
	once, _ := json.Marshal(body)
	twice, _ := json.Marshal(string(once))
	text := `{"Data":{"msg":` + string(twice) + `},"Metadata":%s}`
	known := `{"MessageId":"\"m-1\"","DeliveryCount":"3","Client":{"x":[1]}}`
	tests := []struct {
		name, body, metadata string
		dataType             DataType
		want                 Message
	}{
		{"binary", binary, known, Binary, Message{[]byte(body), "m-1", 3}},
		{"text", text, known, Text, Message{[]byte(body), "m-1", 3}},
		{"hostile_metadata", binary, `{"MessageId":"\"a\\nb\"","DeliveryCount":"\"-9\"","sys":null}`, Binary, Message{[]byte(body), "", 0}},
		{"negative_count", binary, `{"DeliveryCount":"-9"}`, Binary, Message{[]byte(body), "", 0}},
		{"odd_types", binary, `{"MessageId":{"a":[]},"DeliveryCount":7}`, Binary, Message{[]byte(body), "", 0}},
		{"long_key", binary, `{"` + strings.Repeat("k", 5000) + `":"x","MessageId":"\"m-1\"","DeliveryCount":"3"}`, Binary, Message{[]byte(body), "m-1", 3}},
		{"long_id", binary, `{"MessageId":"\"` + strings.Repeat("x", 1<<16) + `\""}`, Binary, Message{[]byte(body), "", 0}},
		{"empty", `{"Data":{"msg":""},"Metadata":%s}`, `{}`, Binary, Message{Body: []byte{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []Message
			h, _ := newHandler(t, Options{}, ServiceBus("analyze", tt.dataType, 100, func(_ context.Context, m Message) error { got = append(got, m); return nil }))
			if status, a := post(t, h, "/analyze", fmt.Sprintf(tt.body, tt.metadata)); status != 200 {
				t.Errorf("answer = %d %v", status, a)
			}
			if diff := cmp.Diff([]Message{tt.want}, got, cmp.Transformer("text", func(b []byte) string { return string(b) })); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventGrid(t *testing.T) {
	tests := []struct {
		name, data string
		want       []string
	}{
		{"one", `{"id":"1","data":{}}`, []string{`{"id":"1","data":{}}`}},
		{"many", `"[{\"id\":\"1\"},{\"id\":\"2\"}]"`, []string{`{"id":"1"}`, `{"id":"2"}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			h, _ := newHandler(t, Options{}, EventGrid("landed", func(_ context.Context, events []json.RawMessage) error {
				for _, e := range events {
					got = append(got, string(e))
				}
				return nil
			}))
			if status, _ := post(t, h, "/landed", `{"Data":{"event":`+tt.data+`},"Metadata":{}}`); status != 200 {
				t.Errorf("status = %d", status)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// What is returned decides whether the trigger delivers again.
func TestErrorsOfTriggers(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want int
		log  string
	}{
		{"done", nil, 200, `"level":"INFO"`},
		{"transient", errors.New("vault is down"), 500, "it may be tried again"},
		{"permanent", fmt.Errorf("read: %w", Permanent(errors.New("no such version"))), 200, `"level":"ERROR","msg":"invocation failed for good"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, log := newHandler(t, Options{}, Timer("sweep", func(context.Context, Tick) error { return tt.err }))
			status, a := post(t, h, "/sweep", tickJSON)
			if status != tt.want || !strings.Contains(log.String(), tt.log) {
				t.Errorf("status = %d, log %s; want %d and %q", status, log, tt.want, tt.log)
			}
			if len(a.Outputs) != 0 || len(a.Logs) != 1 {
				t.Errorf("answer = %+v, want no output and one line", a)
			}
		})
	}
	if Permanent(nil) != nil || IsPermanent(errors.New("x")) {
		t.Error("an error became permanent by itself")
	}
}

func TestMessageTooLarge(t *testing.T) {
	for _, dataType := range []DataType{Binary, Text} {
		h, log := newHandler(t, Options{}, ServiceBus("analyze", dataType, 10, func(context.Context, Message) error { t.Error("invoked"); return nil }))
		body := base64.StdEncoding.EncodeToString(make([]byte, 11))
		if dataType == Text {
			body = `\"` + strings.Repeat("x", 11) + `\"`
		}
		status, _ := post(t, h, "/analyze", `{"Data":{"msg":"`+body+`"}}`)
		if status != 413 || !strings.Contains(log.String(), "may have 10 bytes") {
			t.Errorf("type %d: status = %d, log %s", dataType, status, log)
		}
	}
}

func TestBadInvocations(t *testing.T) {
	h, _ := newHandler(t, Options{},
		HTTP("http", 100, func(context.Context, *Request) (*Response, error) { t.Error("invoked"); return nil, nil }),
		Timer("timer", func(context.Context, Tick) error { t.Error("invoked"); return nil }),
		ServiceBus("binary", Binary, 100, func(context.Context, Message) error { t.Error("invoked"); return nil }),
		ServiceBus("text", Text, 100, func(context.Context, Message) error { t.Error("invoked"); return nil }),
		EventGrid("events", func(context.Context, []json.RawMessage) error { t.Error("invoked"); return nil }))
	const tick = `{"IsPastDue":false}`
	tests := []struct{ name, path, body string }{
		{"empty", "/timer", ``},
		{"null", "/timer", `null`},
		{"array", "/timer", `[]`},
		{"byte_order_mark", "/timer", "\uFEFF" + `{"Data":{"t":` + tick + `}}`},
		{"no_data", "/timer", `{"Metadata":{}}`},
		{"data_null", "/timer", `{"Data":null}`},
		{"data_empty", "/timer", `{"Data":{}}`},
		{"data_twice", "/timer", `{"Data":{"t":` + tick + `},"Data":{"t":` + tick + `}}`},
		{"binding_twice", "/timer", `{"Data":{"t":` + tick + `,"t":` + tick + `}}`},
		{"other_binding_too", "/timer", `{"Data":{"t":` + tick + `,"u":1}}`},
		{"metadata_twice", "/timer", `{"Data":{"t":` + tick + `},"Metadata":{},"Metadata":{}}`},
		{"metadata_is_no_object", "/timer", `{"Data":{"t":` + tick + `},"Metadata":[]}`},
		{"cut_short", "/timer", `{"Data":{"t":` + tick + `}`},
		{"more_after", "/timer", `{"Data":{"t":` + tick + `}}{}`},
		{"nul_after", "/timer", `{"Data":{"t":` + tick + "}}\x00"},
		{"nul_in_metadata", "/timer", `{"Data":{"t":` + tick + "},\"Metadata\":{\"a\":\"\x00\"}}"},
		{"invalid_utf8_in_metadata", "/timer", `{"Data":{"t":` + tick + "},\"Metadata\":{\"a\":\"\xff\"}}"},
		{"nan", "/timer", `{"Data":{"t":` + tick + `},"Metadata":{"a":NaN}}`},
		{"timer_is_text", "/timer", `{"Data":{"t":"x"}}`},
		{"timer_is_event", "/timer", `{"Data":{"t":{"id":"1"}}}`},
		{"timer_time", "/timer", `{"Data":{"t":{"IsPastDue":false,"ScheduleStatus":{"Last":"now"}}}}`},
		{"request_is_text", "/http", `{"Data":{"req":"x"}}`},
		{"request_is_timer", "/http", `{"Data":{"req":` + tick + `}}`},
		{"body_twice", "/http", `{"Data":{"req":{"Method":"POST","Body":"a","Body":"b"}}}`},
		{"body_is_object", "/http", `{"Data":{"req":{"Method":"POST","Body":{}}}}`},
		{"body_half_surrogate", "/http", `{"Data":{"req":{"Method":"POST","Body":"\ud83d"}}}`},
		{"body_invalid_utf8", "/http", "{\"Data\":{\"req\":{\"Method\":\"POST\",\"Body\":\"\xc3(\"}}}"},
		{"headers_are_flat", "/http", `{"Data":{"req":{"Method":"POST","Headers":{"a":"b"}}}}`},
		{"octets_without_base64", "/http", `{"Data":{"req":{"Method":"POST","Headers":{"Content-Type":["application/octet-stream"]},"Body":"%"}}}`},
		{"message_is_object", "/binary", `{"Data":{"msg":{}}}`},
		{"message_is_no_base64", "/binary", `{"Data":{"msg":"{}"}}`},
		{"text_once_encoded", "/text", `{"Data":{"msg":"plain"}}`},
		{"text_and_more", "/text", `{"Data":{"msg":"\"a\"b"}}`},
		{"event_is_number", "/events", `{"Data":{"e":1}}`},
		{"events_hold_numbers", "/events", `{"Data":{"e":"[1]"}}`},
		{"events_are_no_array", "/events", `{"Data":{"e":"{}"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if status, a := post(t, h, tt.path, tt.body); status != 400 || len(a.Outputs) != 0 {
				t.Errorf("answer = %d %+v, want 400", status, a)
			}
		})
	}
}

// What the host may add one day does not disturb.
func TestUnknownFieldsAreIgnored(t *testing.T) {
	h, _ := newHandler(t, Options{}, Timer("timer", func(context.Context, Tick) error { return nil }))
	if status, _ := post(t, h, "/timer", ` {"New":[1.5e-3,true,null,{"a":"\u00e9\n"}],"Data":{"t":{"IsPastDue":false,"x":1}} , "data":2} `); status != 200 {
		t.Errorf("status = %d, want 200", status)
	}
}
