package functionshost

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testLogger(handle func(line string)) *slog.Logger {
	return slog.New(slog.NewTextHandler(writerFunc(handle), &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

type writerFunc func(string)

func (w writerFunc) Write(p []byte) (int, error) {
	w(strings.TrimSpace(string(p)))
	return len(p), nil
}

var (
	guidPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	nowPattern  = regexp.MustCompile(`"UtcNow":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z"`)
)

// shown is an invocation without what differs each time.
func shown(t *testing.T, v value, binding string) string {
	t.Helper()
	body := v.body(binding)
	if !json.Valid(body) {
		t.Errorf("invalid JSON: %s", body)
	}
	return nowPattern.ReplaceAllString(guidPattern.ReplaceAllString(string(body), "GUID"), `"UtcNow":"NOW"`)
}

const sysOfF = `"sys":{"MethodName":"f","RandGuid":"GUID","UtcNow":"NOW"}`

func TestTimerValue(t *testing.T) {
	f := &function{name: "f"}
	last := time.Date(2026, 3, 1, 10, 10, 0, 1234500, time.UTC)
	tests := []struct {
		name string
		in   value
		want string
	}{
		{"monitored", timerValue(f, &scheduleStatus{last, last.Truncate(time.Hour), last}, true),
			`{"Data":{"t":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":{"Last":"2026-03-01T10:10:00.0012345+00:00","Next":"2026-03-01T10:00:00+00:00","LastUpdated":"2026-03-01T10:10:00.0012345+00:00"},"IsPastDue":true}},"Metadata":{` + sysOfF + `}}`},
		{"first_run", timerValue(f, &scheduleStatus{}, false),
			`{"Data":{"t":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":{"Last":"0001-01-01T00:00:00+00:00","Next":"0001-01-01T00:00:00+00:00","LastUpdated":"0001-01-01T00:00:00+00:00"},"IsPastDue":false}},"Metadata":{` + sysOfF + `}}`},
		{"not_monitored", timerValue(f, nil, false),
			`{"Data":{"t":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":false}},"Metadata":{` + sysOfF + `}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, shown(t, tt.in, "t")); diff != "" {
				t.Errorf("invocation (-want +got):\n%s", diff)
			}
		})
	}
}

// Text mixes the payload into Metadata, where it overwrites; binary does not.
func TestMessageValue(t *testing.T) {
	d := Delivery{
		MessageID: "m-1", ContentType: "application/json", Properties: map[string]any{"source": "tests"},
		Body: []byte(`{"messageid":"forged","n":2,"ok":true,"o":{"t":"2026-03-01T10:00:00.500Z"},"list":[1],"none":null,"myTrigger":"x","sys":"<gone>"}`), DeliveryCount: 2, SequenceNumber: 42,
		Enqueued: time.Date(2026, 3, 1, 10, 14, 59, 999, time.UTC),
	}
	const before = `"DeliveryCount":"2","LockToken":"\"GUID\"","EnqueuedTimeUtc":"2026-03-01T10:14:59","EnqueuedTime":"2026-03-01T10:14:59+00:00",`
	const after = `"ContentType":"\"application/json\"","SequenceNumber":"42","ApplicationProperties":{"source":"tests"},"UserProperties":{"source":"tests"}`
	tests := []struct{ name, dataType, want string }{
		{"binary", "binary", `{"Data":{"m":"eyJtZXNzYWdlaWQiOiJmb3JnZWQiLCJuIjoyLCJvayI6dHJ1ZSwibyI6eyJ0IjoiMjAyNi0wMy0wMVQxMDowMDowMC41MDBaIn0sImxpc3QiOlsxXSwibm9uZSI6bnVsbCwibXlUcmlnZ2VyIjoieCIsInN5cyI6Ijxnb25lPiJ9"},"Metadata":{` +
			sysOfF + `,` + before + `"MessageId":"\"m-1\"",` + after + `}}`},
		{"text", "", `{"Data":{"m":"\"{\\\"messageid\\\":\\\"forged\\\",\\\"n\\\":2,\\\"ok\\\":true,\\\"o\\\":{\\\"t\\\":\\\"2026-03-01T10:00:00.500Z\\\"},\\\"list\\\":[1],\\\"none\\\":null,\\\"myTrigger\\\":\\\"x\\\",\\\"sys\\\":\\\"<gone>\\\"}\""},"Metadata":{` +
			`"sys":"\"<gone>\"",` + before + `"MessageId":"\"forged\"",` + after + `,"n":"\"2\"","ok":"\"True\"","o":{"t":"2026-03-01T10:00:00.5Z"}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &function{name: "f", trigger: binding{DataType: tt.dataType}}
			if diff := cmp.Diff(tt.want, shown(t, messageValue(f, d), "m")); diff != "" {
				t.Errorf("invocation (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventValue(t *testing.T) {
	v, err := eventValue(&function{name: "f"}, []byte(` {"id":"1","data":{"url":"https://a/b?c&d","n":1e2},"eventTime":"2026-03-01T12:00:00+02:00"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Data":{"e":{"id":"1","data":{"url":"https://a/b?c&d","n":100.0},"eventTime":"2026-03-01T10:00:00+00:00"}},"Metadata":{` + sysOfF + `,"data":{"url":"https://a/b?c&d","n":100.0}}}`
	if diff := cmp.Diff(want, shown(t, v, "e")); diff != "" {
		t.Errorf("invocation (-want +got):\n%s", diff)
	}
	for _, event := range []string{"", "[]", "1", "{", `{} {}`} {
		if _, err := eventValue(&function{name: "f"}, []byte(event)); err == nil {
			t.Errorf("%q is taken for an event", event)
		}
	}
}

func TestRequestValue(t *testing.T) {
	tests := []struct {
		name, method, contentType, body, want string
	}{
		{"json", "POST", "application/json", "\uFEFF" + `{"Headers":"gone"}`,
			`{"Data":{"r":{"Url":"http://a.example/api/x?q=1","Method":"POST","Query":{"q":"1"},"Headers":{"Content-Length":["21"],"Content-Type":["application/json"],"Host":["a.example"]},"Params":{"id":"7"},"Identities":[],"Body":"{\"Headers\":\"gone\"}"}},` +
				`"Metadata":{` + sysOfF + `,"Query":{"q":"1"},"Headers":"\"gone\"","id":"\"7\"","q":"\"1\""}}`},
		{"octets", "POST", "application/octet-stream", "\x00\xff",
			`{"Data":{"r":{"Url":"http://a.example/api/x?q=1","Method":"POST","Query":{"q":"1"},"Headers":{"Content-Length":["2"],"Content-Type":["application/octet-stream"],"Host":["a.example"]},"Params":{"id":"7"},"Identities":[],"Body":"AP8="}},` +
				`"Metadata":{` + sysOfF + `,"Query":{"q":"1"},"Headers":{"Content-Type":"application/octet-stream","Host":"a.example"},"id":"\"7\"","q":"\"1\""}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "http://a.example/api/x?q=1", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.contentType)
			r.RequestURI = ""
			v := requestValue(&function{name: "f"}, r, map[string]string{"id": "7"}, []byte(tt.body))
			if diff := cmp.Diff(tt.want, shown(t, v, "r")); diff != "" {
				t.Errorf("invocation (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMessagesOf(t *testing.T) {
	tests := []struct {
		name, dataType, value string
		want                  []string
		warns                 bool
	}{
		{"text", "", `"hello world"`, []string{"hello world"}, false},
		{"four_letters", "", `"abcd"`, []string{notText}, true},
		{"hexadecimal_id", "", `"0123456789abcdef0123456789abcdef"`, []string{notText}, true},
		{"nothing", "", `""`, []string{notText}, true},
		{"four_letters_binary", "binary", `"abcd"`, []string{"abcd"}, false},
		{"json_in_text", "", `"{\"a\":1,\"t\":\"2026-03-01T10:11:12.000Z\",\"e\":1e2}"`, []string{"{\n  \"a\": 1,\n  \"t\": \"2026-03-01T10:11:12Z\",\n  \"e\": 100.0\n}"}, true},
		{"object", "", `{"t":"2026-03-01T10:11:12.000+02:00"}`, []string{"{\n  \"t\": \"2026-03-01T08:11:12+00:00\"\n}"}, true},
		{"strings", "", `["{\"a\":1,\"t\":\"2026-03-01T10:11:12.000Z\"}","abcd"]`, []string{`{"a":1,"t":"2026-03-01T10:11:12.000Z"}`, "abcd"}, false},
		{"date", "", `["2026-03-01T10:11:12.000Z"]`, []string{"03/01/2026 10:11:12"}, false},
		{"bare_date", "", `"2026-03-01T10:11:12.000Z"`, []string{"03/01/2026 10:11:12"}, false},
		{"array_in_text", "", `"[{\"a\":1},{\"a\":[]}]"`, []string{"{\n  \"a\": 1\n}", "{\n  \"a\": []\n}"}, true},
		{"number", "", `42`, []string{"42"}, false},
		{"boolean", "", `true`, []string{"True"}, false},
		{"null", "", `null`, nil, false},
		{"empty", "", `[]`, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, warnings := messagesOf(binding{Name: "out", DataType: tt.dataType}, json.RawMessage(tt.value))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if (len(warnings) > 0) != tt.warns {
				t.Errorf("warnings = %q", warnings)
			}
		})
	}
}

func FuzzReprint(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":"2026-03-01T10:11:12.000Z"}],"c":-1.5e3}`, `[]`, `"x"`, `[1,]`, `{"a"}`, `[[[1]]]`, `1 2`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := reprint(in, false)
		if (err == nil) != json.Valid(in) && !(err != nil && strings.Contains(err.Error(), "nested")) {
			t.Fatalf("%q: err = %v, valid = %v", in, err, json.Valid(in))
		}
		if err != nil {
			return
		}
		if !json.Valid(out) {
			t.Fatalf("%q: printed %q", in, out)
		}
		if again, err := reprint(out, false); err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%q: printed %q, and then %q, %v", in, out, again, err)
		}
	})
}
