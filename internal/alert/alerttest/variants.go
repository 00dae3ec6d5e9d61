// Package alerttest makes odd alerts out of sound ones, for the tests of
// whoever reads alerts.
package alerttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Padding is how much the padded variants add, in bytes: less than an alert
// may have.
const Padding = 200 << 10

// Variants yields the alert with one thing changed each, and what was changed.
// Every member is missing once, null, and of every other JSON type; the whole
// is padded, nested, repeated and cut in the ways of people who try things.
func Variants(payload []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, list := range []func([]byte, func(string, []byte) bool) bool{members, shapes, texts} {
			if !list(payload, yield) {
				return
			}
		}
	}
}

// decode keeps numbers as they are written.
func decode(payload []byte) any {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(fmt.Sprintf("alerttest: the alert to vary is no JSON: %v", err))
	}
	return v
}

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("alerttest: %v", err)) // it was JSON before
	}
	return body
}

// missing stands for a member that is taken out.
type missing struct{}

// members changes every member and element, one at a time.
func members(payload []byte, yield func(string, []byte) bool) bool {
	root := decode(payload)
	return visit(root, "", func(path string, old any, set func(any)) bool {
		for _, r := range replacements(old) {
			set(r.value)
			body := encode(root)
			set(old)
			if !yield(path+" "+r.what, body) {
				return false
			}
		}
		return true
	})
}

type replacement struct {
	what  string
	value any
}

func replacements(old any) []replacement {
	all := []replacement{
		{"missing", missing{}},
		{"null", nil},
		{"a string", "x"},
		{"no text", ""},
		{"a number", json.Number("7")},
		{"true", true},
		{"an object", map[string]any{}},
		{"an array", []any{}},
		{"in an array", []any{old}},
	}
	switch old := old.(type) {
	case json.Number:
		all = append(all,
			replacement{"a number as a string", old.String()},
			replacement{"a huge number", json.Number("1e400")},
			replacement{"minus zero", json.Number("-0.0")})
	case string:
		all = append(all,
			replacement{"upper case", strings.ToUpper(old)},
			replacement{"with NUL", old + "\x00"},
			replacement{"with a line break", old + "\r\nx"},
			replacement{"with text that turns around", "\u202e" + old},
			replacement{"long", strings.Repeat(old+" ", 1+4096/(1+len(old)))})
	case map[string]any:
		long := maps.Clone(old)
		long[strings.Repeat("n", 4096)] = "x"
		all = append(all, replacement{"with a long name in it", long})
	}
	return all
}

// visit calls f for every member and element below v, in the order of their
// names, with a function that replaces it.
func visit(v any, path string, f func(path string, old any, set func(any)) bool) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			old := v[name]
			set := func(to any) {
				if _, out := to.(missing); out {
					delete(v, name)
				} else {
					v[name] = to
				}
			}
			if !f(path+"."+name, old, set) || !visit(old, path+"."+name, f) {
				return false
			}
		}
	case []any:
		for i, old := range v {
			at := fmt.Sprintf("%s[%d]", path, i)
			set := func(to any) {
				if _, out := to.(missing); out {
					to = "" // an array has no holes
				}
				v[i] = to
			}
			if !f(at, old, set) || !visit(old, at, f) {
				return false
			}
		}
	}
	return true
}

// shapes changes the alert as a whole.
func shapes(payload []byte, yield func(string, []byte) bool) bool {
	for _, s := range []struct {
		what   string
		change func(root, data, essentials map[string]any)
	}{
		{"padded", func(root, _, _ map[string]any) { root["padding"] = strings.Repeat("p", Padding) }},
		{"padded essentials", func(_, _, e map[string]any) { e["description"] = strings.Repeat("d", Padding) }},
		{"more fields", func(root, data, e map[string]any) {
			for i := range 500 {
				name := fmt.Sprintf("extra%d", i)
				root[name], data[name], e[name] = i, []any{name}, map[string]any{name: nil}
			}
		}},
		{"a field with a long name", func(root, _, _ map[string]any) { root[strings.Repeat("n", 5000)] = "x" }},
		{"fields of the host", func(root, _, _ map[string]any) {
			root["MessageId"], root["DeliveryCount"], root["sys"] = "x", "-1", map[string]any{"MethodName": "sweepcaptures"}
			root["Data"], root["Metadata"] = map[string]any{"req": map[string]any{"Body": "x"}}, map[string]any{}
		}},
		{"10,000 targets", func(_, _, e map[string]any) { e["alertTargetIDs"] = targets(10_000) }},
		{"301 targets", func(_, _, e map[string]any) { e["alertTargetIDs"] = targets(301) }},
		{"300 targets", func(_, _, e map[string]any) { e["alertTargetIDs"] = targets(300) }},
		{"the same target 300 times", func(_, _, e map[string]any) {
			ids, _ := e["alertTargetIDs"].([]any)
			if len(ids) > 0 {
				e["alertTargetIDs"] = slices.Repeat(ids[:1], 300)
			}
		}},
		{"60 levels", func(root, _, _ map[string]any) { root["deep"] = nested(59) }},
		{"65 levels", func(root, _, _ map[string]any) { root["deep"] = nested(64) }},
	} {
		root, _ := decode(payload).(map[string]any)
		data, _ := root["data"].(map[string]any)
		essentials, _ := data["essentials"].(map[string]any)
		if essentials == nil {
			continue
		}
		s.change(root, data, essentials)
		if !yield(s.what, encode(root)) {
			return false
		}
	}
	return true
}

func targets(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/r/providers/Microsoft.Compute/virtualMachines/vm%d", i)
	}
	return ids
}

func nested(levels int) any {
	var v any = "bottom"
	for range levels {
		v = []any{v}
	}
	return v
}

// texts changes what is no JSON value.
func texts(payload []byte, yield func(string, []byte) bool) bool {
	inside := bytes.TrimSpace(payload)
	inside = inside[1 : len(inside)-1]
	object := func(parts ...string) []byte {
		return []byte("{" + strings.ReplaceAll(strings.Join(parts, ","), "INSIDE", string(inside)) + "}")
	}
	for _, s := range []struct {
		what string
		body []byte
	}{
		{"two schemas", object(`"schemaId":"azureMonitorCommonAlertSchema"`, "INSIDE")},
		{"two schemas in two cases", object("INSIDE", `"SCHEMAID":"x"`)},
		{"two data", object("INSIDE", `"data":{}`)},
		{"two data by folding", object("INSIDE", `"ﬀ":1`, `"\ufb00":2`)},
		{"NaN", object("INSIDE", `"x":NaN`)},
		{"a comment", object("INSIDE", `/* x */ "y":1`)},
		{"a comma too many", object("INSIDE", "")},
		{"single quotes", object("INSIDE", `'x':1`)},
		{"followed by another", append(slices.Clip(bytes.TrimSpace(payload)), bytes.TrimSpace(payload)...)},
		{"followed by text", append(slices.Clip(bytes.TrimSpace(payload)), "x"...)},
		{"in an array", []byte("[{" + string(inside) + "}]")},
		{"in a string", encode("{" + string(inside) + "}")},
		{"100,000 levels", object("INSIDE", `"deep":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000))},
		{"100,000 open brackets", []byte(strings.Repeat(`{"a":`, 20_000))},
		{"half of it", payload[:len(payload)/2]},
		{"all but its end", payload[:len(payload)-2]},
		{"half a surrogate pair", object("INSIDE", `"x":"\ud800"`)},
		{"half a surrogate pair as a name", object("INSIDE", `"\ud800":"\udc00"`)},
		{"only blanks", bytes.Repeat([]byte(" \r\n\t"), 1000)},
		{"nothing", nil},
		{"400 KB", object("INSIDE", `"x":"`+strings.Repeat("x", 400_000)+`"`)},
	} {
		if !yield(s.what, s.body) {
			return false
		}
	}
	return true
}
