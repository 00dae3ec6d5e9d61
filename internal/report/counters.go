package report

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
)

// A counterGroup is the counters of one protocol, named as the JSON names
// them.
type counterGroup struct {
	Name string
	Rows []counterRow
	Zero string // the names of those that are 0
}

type counterRow struct{ Name, Meaning, Value string }

// newCounters reads the counters from their JSON, so that the page shows
// exactly what the document says, in its order.
func newCounters(counters any) []counterGroup {
	document, err := json.Marshal(counters)
	if err != nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(document))
	dec.UseNumber()
	var groups []counterGroup
	members(dec, func(name string) {
		g := counterGroup{Name: groupName(name)}
		var zero []string
		leaves(dec, "", func(path string, value any) {
			text := leaf(value)
			if text == "0" || text == "" {
				zero = append(zero, printable(path))
				return
			}
			g.Rows = append(g.Rows, counterRow{printable(path), meaning(name + "." + path), text})
		})
		g.Zero = strings.Join(zero, ", ")
		groups = append(groups, g)
	})
	return groups
}

// members calls f for each member of the object that comes next; f reads its
// value.
func members(dec *json.Decoder, f func(name string)) {
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return
	}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return
		}
		f(name)
	}
	dec.Token() // the closing brace
}

// leaves calls f for each value that is not an object, with its path.
func leaves(dec *json.Decoder, path string, f func(path string, value any)) {
	var raw json.RawMessage
	if dec.Decode(&raw) != nil {
		return
	}
	if raw[0] != '{' {
		inner := json.NewDecoder(bytes.NewReader(raw))
		inner.UseNumber()
		var value any
		if inner.Decode(&value) == nil {
			f(path, value)
		}
		return
	}
	inner := json.NewDecoder(bytes.NewReader(raw))
	empty := true
	members(inner, func(name string) {
		empty = false
		if path != "" {
			name = path + "." + name
		}
		leaves(inner, name, f)
	})
	if empty && path != "" {
		f(path, nil)
	}
}

func leaf(value any) string {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return count(n)
		}
		if x, err := v.Float64(); err == nil {
			return strconv.FormatFloat(x, 'f', 3, 64)
		}
		return ""
	case []any:
		if len(v) == 0 {
			return ""
		}
		return detail(v, 0)
	case nil:
		return ""
	}
	return detail(value, 0)
}

func groupName(name string) string {
	switch name = printable(name); name {
	case "tcp", "dns", "tls", "icmp", "http":
		return strings.ToUpper(name)
	case "cleartext":
		return "Logins in the clear"
	}
	return name
}

// meaning says what a number of a protocol stands for.
func meaning(path string) string {
	cut := strings.LastIndexByte(path, '.')
	n, err := strconv.ParseUint(path[cut+1:], 10, 8)
	if err != nil {
		return ""
	}
	switch path[:cut] {
	case "tls.handshake_types":
		return tls.HandshakeType(n).String()
	case "tls.alerts_by_desc":
		return tls.AlertDescription(n).String()
	case "dns.rcodes":
		return dns.RCode(n).String()
	}
	return ""
}
