package functionshost

import (
	"strings"
	"testing"
	"time"
)

func TestMistakesOfAnApp(t *testing.T) {
	one := func(name, text string) map[string]string { return map[string]string{name: text} }
	timer := func(schedule string) string { return strings.Replace(timerJSON, "0 0 0 1 1 *", schedule, 1) }
	tests := []struct {
		name      string
		host      string
		functions map[string]string
		want      []string
	}{
		{"no_host_json_fields", `{}`, one("a", timerJSON), []string{"version", "defaultExecutablePath"}},
		{"host_json_is_no_json", `{`, one("a", timerJSON), []string{"host.json"}},
		{"time_span", strings.Replace(hostJSON, "00:05:00", "5m", 1), one("a", timerJSON), []string{"functionTimeout", `"5m" is no time span`}},
		{"proxying", strings.Replace(hostJSON, `"initializationTimeout"`, `"enableProxyingHttpRequest":true,"x"`, 1), one("a", timerJSON), []string{"not modelled"}},
		{"no_functions", hostJSON, nil, []string{"would not start the handler"}},
		{"all_mistakes", hostJSON, map[string]string{"a": `{`, "b": `{"bindings":[]}`}, []string{"a/function.json", "b/function.json", "0 triggers"}},
		{"function_name", hostJSON, one("1a", timerJSON), []string{`"1a" is no name`}},
		{"reserved_name", hostJSON, one("Host", timerJSON), []string{`"Host" is no name`}},
		{"same_name", hostJSON, map[string]string{"a": timerJSON, "A": timerJSON}, []string{"same name"}},
		{"binding_name", hostJSON, one("a", strings.Replace(timerJSON, `"timer"`, `"my_timer"`, 1)), []string{`"my_timer" is no name`}},
		{"binding_names_alike", hostJSON, one("a", strings.Replace(httpJSON, `"res"`, `"REQ"`, 1)), []string{"two bindings"}},
		{"direction", hostJSON, one("a", strings.Replace(timerJSON, `"in"`, `"out"`, 1)), []string{"direction"}},
		{"unknown_type", hostJSON, one("a", strings.Replace(timerJSON, "timerTrigger", "blobTrigger", 1)), []string{"blobTrigger", "not modelled"}},
		{"return_value", hostJSON, one("a", strings.Replace(httpJSON, `"res"`, `"$return"`, 1)), []string{"base64 guess"}},
		{"auth_level", hostJSON, one("a", strings.Replace(httpJSON, `"in"`, `"in","authLevel":"open"`, 1)), []string{`"open"`}},
		{"script_file", hostJSON, one("a", strings.Replace(timerJSON, `{`, `{"scriptFile":"x.go",`, 1)), []string{"x.go"}},
		{"five_fields", hostJSON, one("a", timer("* * * * *")), []string{"NCRONTAB"}},
		{"missing_schedule_setting", hostJSON, one("a", timer("%SWEEP%")), []string{"%SWEEP%"}},
		{"retry", hostJSON, one("a", strings.Replace(timerJSON, `{`, `{"retry":{"strategy":"often"},`, 1)), []string{`"often"`}},
		{"queue_setting", hostJSON, one("a", strings.Replace(binaryJSON, "%QUEUE%", "%NO_QUEUE%", 1)), []string{"%NO_QUEUE%"}},
		{"queue_without_receiver", hostJSON, one("a", binaryJSON), []string{`"jobs"`, "receiver"}},
		{"queue_without_output", hostJSON, one("a", strings.Replace(timerJSON, `}]`, `},{"type":"serviceBus","direction":"out","name":"out","queueName":"q"}]`, 1)), []string{`no output for the queue "q"`}},
		{"batches", hostJSON, one("a", strings.Replace(binaryJSON, `"in"`, `"in","cardinality":"many"`, 1)), []string{"batches"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := Start(t.Context(), Config{AppDir: writeApp(t, tt.host, tt.functions), Settings: settings(t, "good")})
			if err == nil {
				h.Close()
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
	t.Run("address", func(t *testing.T) {
		c := Config{AppDir: writeApp(t, hostJSON, one("a", timerJSON)), Settings: settings(t, "good"), Listen: "0.0.0.0:0"}
		if h, err := Start(t.Context(), c); err == nil {
			h.Close()
			t.Error("it listens for the whole network")
		}
	})
}

func TestHostJSON(t *testing.T) {
	dir := writeApp(t, `{"version":"2.0","functionTimeout":"-1","extensions":{"http":{"routePrefix":""},"serviceBus":{"maxConcurrentCalls":3,"maxAutoLockRenewalDuration":"1.02:03:04"}},
		"customHandler":{"description":{"defaultExecutablePath":"bin/other","arguments":["serve","%A%","%MISSING%"],"useStdErrorStreamForErrorsOnly":false}}}`,
		map[string]string{"bin/handler": "a file of that path"})
	env := environment{
		"azurefunctionsjobhost__CUSTOMHANDLER__description__defaultExecutablePath": "bin/handler/function.json",
		"A": "x y",
	}
	f, err := readHostFile(dir, env)
	if err != nil {
		t.Fatal(err)
	}
	if f.executable != dir+"/bin/handler/function.json" || strings.Join(f.arguments, "|") != "serve|x|y" {
		t.Errorf("command = %q %q", f.executable, f.arguments)
	}
	want := 26*time.Hour + 3*time.Minute + 4*time.Second
	if f.functionTimeout != 0 || f.routePrefix != "" || f.maxConcurrent != 3 || f.maxLockRenewal != want || f.stderrForErrors || f.initTimeout != 30*time.Second {
		t.Errorf("host file = %+v", f)
	}
}

func TestDisabledFunctions(t *testing.T) {
	dir := writeApp(t, hostJSON, map[string]string{
		"a": timerJSON, "b": timerJSON, "c": strings.Replace(timerJSON, `{`, `{"disabled":true,`, 1),
	})
	functions, err := readFunctions(dir, environment{"AzureWebJobs.b.Disabled": "true"})
	if err != nil || len(functions) != 1 || functions[0].name != "a" {
		t.Errorf("functions = %v, %v; want a alone", functions, err)
	}
}

func TestSchedule(t *testing.T) {
	at := func(text string) time.Time {
		parsed, err := time.Parse("2006-01-02 15:04:05", text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	tests := []struct{ name, schedule, from, want string }{
		{"every_minute", "0 * * * * *", "2026-03-01 10:00:00", "2026-03-01 10:01:00"},
		{"every_five_minutes", "0 */5 * * * *", "2026-03-01 10:04:59", "2026-03-01 10:05:00"},
		{"week_days", "0 30 9 * * 1-5", "2026-03-06 10:00:00", "2026-03-09 09:30:00"},
		{"both_days_must_match", "0 0 0 13 * 5", "2026-03-14 00:00:00", "2026-11-13 00:00:00"},
		{"names", "0 0 12 * Jan Mon", "2026-03-01 00:00:00", "2027-01-04 12:00:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parseSchedule(tt.schedule)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.next(at(tt.from)); !got.Equal(at(tt.want)) {
				t.Errorf("next = %v, want %s", got, tt.want)
			}
		})
	}
	for _, text := range []string{"", "* * * * *", "@every 1s", "0 0 0 ? * *", "TZ=UTC * * * * *", "TZ= * * * * *", "60 * * * * *", "*/0 * * * * *", "a b c d e f", "00:05:00"} {
		if _, err := parseSchedule(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	for text, want := range map[string]bool{"0 * * * * *": false, "*/30 * * * * *": true, "0,1 0 0 * * *": true} {
		s, err := parseSchedule(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.isFrequent(at("2026-03-01 10:00:00")); got != want {
			t.Errorf("%q: more than once a minute = %v, want %v", text, got, want)
		}
	}
}

func TestErrorBucket(t *testing.T) {
	tests := []struct {
		name    string
		minutes []int // of the errors
		want    bool  // whether the last one stops the host
	}{
		{"two", []int{0, 1}, false},
		{"three", []int{0, 29, 58}, true},
		{"gap", []int{0, 1, 31}, false},
		{"after_a_gap", []int{0, 1, 31, 32, 33}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b errorBucket
			start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			var got bool
			for _, m := range tt.minutes {
				if got {
					t.Fatal("stopped before the last error")
				}
				got = b.add(start.Add(time.Duration(m) * time.Minute))
			}
			if got != tt.want {
				t.Errorf("stop = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestLines(t *testing.T) {
	var got []string
	w := &lineWriter{level: stderrLevel(true), observe: func(e Event) { got = append(got, e.Level.String()+" "+e.Text) }}
	for _, part := range []string{"on", "e\r\ntwo: a Warn", "ing\n\nla", "st\xff"} {
		w.Write([]byte(part))
	}
	w.flush()
	w.flush()
	want := "ERROR one|WARN two: a Warning|ERROR |ERROR last\uFFFD"
	if strings.Join(got, "|") != want {
		t.Errorf("lines = %q, want %q", got, want)
	}
	if w.last() != ": two: a Warning |  | last\uFFFD" {
		t.Errorf("last = %q", w.last())
	}
	got = nil
	w.Write([]byte(strings.Repeat("x", maxLine+1)))
	if len(got) != 1 {
		t.Errorf("an endless line makes %d events", len(got))
	}
	if l := stderrLevel(false); l("it failed").String() != "ERROR" || l("warning").String() != "INFO" {
		t.Error("levels without useStdErrorStreamForErrorsOnly are wrong")
	}
}

func TestLogEventsNamesWhatIsThere(t *testing.T) {
	var handled []string
	log := LogEvents(testLogger(func(line string) { handled = append(handled, line) }))
	log(Event{Kind: MessageCompleted, Function: "f", Message: "m-1"})
	if len(handled) != 1 || handled[0] != `level=INFO msg="message completed" function=f message=m-1` {
		t.Errorf("log = %q", handled)
	}
}
