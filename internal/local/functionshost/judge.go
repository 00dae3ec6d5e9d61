package functionshost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// An InvocationError tells why the host would call an invocation failed, and
// what the handler has to do with it.
type InvocationError struct {
	Function   string
	Invocation string
	Reason     string
	// Hangs says that the invocation would not even fail but wait until
	// functionTimeout, when the host kills the handler with all others in it.
	// Here it fails at once.
	Hangs bool
}

func (e *InvocationError) Error() string {
	return fmt.Sprintf("invocation %s of %s: %s", e.Invocation, e.Function, e.Reason)
}

// answer is what the handler answered.
type answer struct {
	status      int
	contentType string
	body        []byte
}

// result is what the host reads from an answer.
type result struct {
	outputs  []property
	logs     []string
	warnings []string // of what the host ignores silently
	http     *httpAnswer
}

func (r result) output(name string) (json.RawMessage, bool) {
	for _, p := range slices.Backward(r.outputs) {
		if p.name == name {
			return p.value, true
		}
	}
	return nil, false
}

// judge reads an answer as the host does.
func judge(f *function, a answer) (r result, reason string, hangs bool) {
	failed := func(format string, args ...any) (result, string, bool) {
		return result{}, fmt.Sprintf(format, args...), false
	}
	if a.status < 200 || a.status > 299 {
		return failed("answered with status %d: the host drops Outputs, Logs and the body", a.status)
	}
	const hanging = "%s: the invocation would hang until functionTimeout, when the host kills the handler; answer {} at least"
	if len(a.body) == 0 {
		return result{}, fmt.Sprintf(hanging, fmt.Sprintf("answered with status %d and no body", a.status)), true
	}
	media, _, err := mime.ParseMediaType(a.contentType)
	if err != nil || media != "application/json" && media != "text/json" {
		return failed("answered with content type %q: the host reads application/json only", a.contentType)
	}
	body := bytes.TrimSpace(a.body)
	if len(body) == 0 {
		return result{}, fmt.Sprintf(hanging, "answered with blanks"), true
	}
	if bytes.Equal(body, []byte("null")) {
		return result{}, fmt.Sprintf(hanging, "answered null"), true
	}
	if !json.Valid(body) {
		return failed("answered with malformed JSON")
	}
	properties, err := objectOf(body)
	if err != nil {
		return failed("answered with JSON that is not an object")
	}
	for _, p := range properties {
		null := string(p.value) == "null"
		switch {
		case strings.EqualFold(p.name, "Outputs") && !null:
			if r.outputs, err = objectOf(p.value); err != nil {
				return failed("Outputs is not an object")
			}
		case strings.EqualFold(p.name, "Logs") && !null:
			if r.logs, err = logsOf(p.value); err != nil {
				return failed("Logs is not an array of strings")
			}
		case strings.EqualFold(p.name, "ReturnValue") && p.value[0] == '{':
			r.warnings = append(r.warnings, "ReturnValue is an object: without a binding named $return the host spreads it over the outputs; not modelled here")
		}
	}
	for _, p := range r.outputs {
		if !slices.ContainsFunc(f.outputs, func(b binding) bool { return b.Name == p.name }) {
			r.warnings = append(r.warnings, fmt.Sprintf("the host ignores output %q: function.json has no such binding, and names have a case", p.name))
		}
	}
	if b, ok := f.output("http"); ok && f.trigger.is("httpTrigger") {
		a, warnings, wrong := judgeHTTP(r, b.Name)
		r.http, r.warnings = &a, append(r.warnings, warnings...)
		return r, wrong, false
	}
	return r, "", false
}

func logsOf(raw json.RawMessage) ([]string, error) {
	var values []json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil {
		return nil, err
	}
	var logs []string
	for _, v := range values {
		switch v[0] {
		case '"':
			var text string
			if err := json.Unmarshal(v, &text); err != nil {
				return nil, err
			}
			logs = append(logs, text)
		case '{', '[':
			return nil, fmt.Errorf("log line %.20s", v)
		default: // the serializer makes strings of numbers and booleans
			logs = append(logs, string(v))
		}
	}
	return logs, nil
}

// httpAnswer is what the caller of an HTTP function gets.
type httpAnswer struct {
	status int
	header http.Header
	body   []byte
}

// judgeHTTP reads the value of the http output.
func judgeHTTP(r result, name string) (a httpAnswer, warnings []string, reason string) {
	a = httpAnswer{status: http.StatusOK, header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}}
	raw, ok := r.output(name)
	if !ok || string(raw) == "null" {
		a.body = []byte("{}")
		return a, []string{fmt.Sprintf("Outputs has no %q: the caller gets 200 with {}", name)}, ""
	}
	properties, err := objectOf(raw)
	if err != nil {
		return a, nil, fmt.Sprintf("output %q is not an object with statusCode, headers and body", name)
	}
	status := false
	for _, p := range properties {
		if string(p.value) == "null" {
			continue
		}
		switch strings.ToLower(p.name) {
		case "statuscode":
			status = true
			text := strings.Trim(string(p.value), `"`)
			if a.status, err = strconv.Atoi(text); err != nil || a.status < 200 || a.status > 599 {
				return a, nil, fmt.Sprintf("statusCode of output %q is %.40s, no status", name, text)
			}
		case "status":
			warnings = append(warnings, fmt.Sprintf("output %q has status, which the host ignores; it reads statusCode", name))
		case "headers":
			headers, err := objectOf(p.value)
			if err != nil {
				return a, nil, fmt.Sprintf("headers of output %q are not an object", name)
			}
			for _, h := range headers {
				a.header.Set(h.name, plain(h.value))
			}
		case "body":
			switch p.value[0] {
			case '{', '[':
				warnings = append(warnings, fmt.Sprintf("body of output %q is JSON, which the host prints anew; use a string", name))
				a.body, _ = reprint(p.value, true) // valid: judged before
			default:
				a.body = []byte(plain(p.value))
			}
		}
	}
	a.header.Del("Content-Length")
	a.header.Del("Transfer-Encoding")
	if !status {
		warnings = append(warnings, fmt.Sprintf("output %q has no statusCode: the caller gets 200", name))
	}
	return a, warnings, ""
}

// plain is the text of a JSON string, or the JSON of anything else.
func plain(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return string(raw)
	}
	return text
}
