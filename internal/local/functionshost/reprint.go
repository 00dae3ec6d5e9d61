package functionshost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// property is one of a JSON object, in its order.
type property struct {
	name  string
	value json.RawMessage
}

// objectOf takes a JSON object apart.
func objectOf(text []byte) ([]property, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errors.New("not a JSON object"), err)
	}
	var all []property
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		all = append(all, property{name.(string), value})
	}
	_, err := dec.Token()
	return all, err
}

// reprint parses and prints JSON as Json.NET does by default: strings that
// look like dates are dates to it and printed as such, floating-point numbers
// lose their notation. Indented is how the host prints outputs.
func reprint(text []byte, indented bool) (json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var b bytes.Buffer
	if err := reprintValue(dec, &b); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	if !indented {
		return b.Bytes(), nil
	}
	var out bytes.Buffer
	err := json.Indent(&out, b.Bytes(), "", "  ")
	return out.Bytes(), err
}

// maxDepth is Json.NET's.
const maxDepth = 64

func reprintValue(dec *json.Decoder, b *bytes.Buffer) error {
	var counts []int // of tokens, in each open object or array
	var closing []byte
	isObject := func() bool { return len(closing) > 0 && closing[len(closing)-1] == '}' }
	for {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		if d, ok := t.(json.Delim); ok && (d == '}' || d == ']') {
			b.WriteByte(byte(d))
			counts, closing = counts[:len(counts)-1], closing[:len(closing)-1]
			if len(counts) == 0 {
				return nil
			}
			continue
		}
		isKey := false
		if n := len(counts); n > 0 {
			isKey = isObject() && counts[n-1]%2 == 0
			switch {
			case isObject() && !isKey:
				b.WriteByte(':')
			case counts[n-1] > 0:
				b.WriteByte(',')
			}
			counts[n-1]++
		}
		switch t := t.(type) {
		case json.Delim:
			b.WriteByte(byte(t))
			counts, closing = append(counts, 0), append(closing, byte(t)+2) // [ and ], { and }: two apart
			if len(counts) > maxDepth {
				return fmt.Errorf("nested deeper than %d", maxDepth)
			}
			continue
		case string:
			if !isKey {
				t = reprintDate(t)
			}
			b.Write(jsonOf(t))
		case json.Number:
			b.WriteString(reprintNumber(string(t)))
		default: // bool, nil
			b.Write(jsonOf(t))
		}
		if len(counts) == 0 {
			return nil
		}
	}
}

func reprintNumber(text string) string {
	if !strings.ContainsAny(text, ".eE") {
		return text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	text = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

var dateLike = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?(Z|[+-]\d\d:\d\d)?$`)

// parseDate reads a string as the date that Json.NET takes it for.
func parseDate(text string) (t time.Time, kind string, ok bool) {
	m := dateLike.FindStringSubmatch(text)
	if m == nil {
		return t, "", false
	}
	layout := "2006-01-02T15:04:05"
	if m[2] != "" {
		layout += "Z07:00"
	}
	t, err := time.Parse(layout, text)
	return t.UTC(), m[2], err == nil
}

// reprintDate prints it again, with an offset in the zone of the host, which
// is UTC here.
func reprintDate(text string) string {
	t, kind, ok := parseDate(text)
	if !ok {
		return text
	}
	layout := "2006-01-02T15:04:05.9999999"
	switch kind {
	case "":
	case "Z":
		layout += "Z"
	default:
		layout += "+00:00"
	}
	return t.Format(layout)
}
