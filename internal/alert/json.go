package alert

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An object is a JSON object. Keys are folded to lower case, ASCII only: the
// documentation itself spells some of them in two ways.
type object map[string]any

// decode reads one JSON document into objects, []any, string, json.Number,
// bool and nil. It refuses what readers disagree about, duplicate keys first:
// whoever checked the alert before may have seen the other one.
func decode(data []byte) (any, *Error) {
	switch {
	case len(data) > MaxBytes:
		return nil, refuse(TooLarge, "the alert has %d bytes; Azure sends at most 256 KiB, and more than %d KiB is not read", len(data), MaxBytes>>10)
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return nil, refuse(NotJSON, "the alert begins with a byte order mark; send plain UTF-8")
	case !utf8.Valid(data):
		return nil, refuse(NotJSON, "the alert is not valid UTF-8")
	}
	// Depth and syntax first, in passes that do not recurse; what comes after
	// does, and relies on them.
	if tooDeep(data) {
		return nil, refuse(TooDeep, "objects and arrays are nested more than %d deep", MaxDepth)
	}
	if !json.Valid(data) {
		return nil, refuse(NotJSON, "the alert is not one JSON document")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return decodeValue(d)
}

// tooDeep reports whether more than MaxDepth brackets are open at once,
// outside of strings.
func tooDeep(data []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			depth++
			if depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

func decodeValue(d *json.Decoder) (any, *Error) {
	token, err := d.Token()
	if err != nil {
		return nil, refuse(NotJSON, "the alert is not one JSON document")
	}
	switch token := token.(type) {
	case json.Number:
		// A number that no float64 holds means different things to different
		// readers.
		if _, err := strconv.ParseFloat(token.String(), 64); err != nil || len(token) > 64 {
			return nil, refuse(NotJSON, "number %+.24q is out of range", token.String())
		}
		return token, nil
	case json.Delim:
		if token == '{' {
			return decodeObject(d)
		}
		return decodeArray(d)
	}
	return token, nil
}

func decodeObject(d *json.Decoder) (any, *Error) {
	o := make(object)
	seen := make(map[string]bool)
	for d.More() {
		token, err := d.Token()
		key, ok := token.(string)
		if err != nil || !ok {
			return nil, refuse(NotJSON, "the alert is not one JSON document")
		}
		folded := fold(key)
		if seen[folded] {
			return nil, refuse(DuplicateKey, "key %+.64q is there twice (case does not count)", key)
		}
		seen[folded] = true
		v, refused := decodeValue(d)
		if refused != nil {
			return nil, refused
		}
		o[lower(key)] = v
	}
	d.Token() // the }, as json.Valid has seen
	return o, nil
}

func decodeArray(d *json.Decoder) (any, *Error) {
	list := []any{}
	for d.More() {
		v, refused := decodeValue(d)
		if refused != nil {
			return nil, refused
		}
		list = append(list, v)
	}
	d.Token() // the ]
	return list, nil
}

// fold maps keys to one form that a case-blind reader, encoding/json among
// them, could confuse: there "ſeverity" is "severity" and the Kelvin sign k.
func fold(s string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, s)
}

// object returns the member as an object; nil if it is absent, null or
// something else.
func (o object) object(key string) object {
	v, _ := o[lower(key)].(object)
	return v
}

// list returns the member as an array, nil if it is absent, null or something
// else.
func (o object) list(key string) []any {
	v, _ := o[lower(key)].([]any)
	return v
}

// text returns the member as words: numbers arrive as strings and strings as
// numbers. Absent, null and everything structured is "". Long text is cut, so
// that it is no valid name, ID or address any more.
func (o object) text(key string) string { return text(o[lower(key)]) }

func text(v any) string {
	switch v := v.(type) {
	case string:
		return cut(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

func cut(s string) string {
	const mark = "…"
	if len(s) <= MaxText {
		return s
	}
	end := MaxText - len(mark)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}
