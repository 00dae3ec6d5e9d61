package incident

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestMappingsNameWhatThereIs: docs/MESSAGES.md tells others which fields to
// take.
func TestMappingsNameWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("../../docs/MESSAGES.md")
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]bool{}
	collect(fields, "", reflect.TypeFor[envelope]())
	collect(fields, "data.", reflect.TypeFor[detection]())
	quoted := regexp.MustCompile("`([^`]*)`")
	seen := 0
	for line := range strings.Lines(string(text)) {
		// In a table the left column is ours; elsewhere what begins with data.
		ours, table := line, strings.HasPrefix(line, "| `")
		if table {
			ours, _, _ = strings.Cut(line[2:], " |")
		}
		for _, m := range quoted.FindAllStringSubmatch(ours, -1) {
			name := m[1]
			if !strings.HasPrefix(name, "data.") && (!table || strings.HasSuffix(name, ".v1")) {
				continue
			}
			seen++
			if !fields[name] {
				t.Errorf("no message has %s", name)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d names were looked at", seen)
	}
	for _, kind := range []string{TypeFinding, TypeFailed, TypeSecurity, TypeApproval, TypeTrouble, TypeQuarantined} {
		if !strings.Contains(string(text), "`"+strings.TrimPrefix(kind, "io.github.pcapwarden.")+"`") {
			t.Errorf("docs/MESSAGES.md does not say what %s is", kind)
		}
	}
}

// collect adds the paths of all fields of a type, as JSON has them.
func collect(fields map[string]bool, prefix string, typ reflect.Type) {
	for field := range typ.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		path, in := prefix+name, field.Type
		fields[path] = true
		for in.Kind() == reflect.Pointer || in.Kind() == reflect.Slice {
			if in.Kind() == reflect.Slice {
				path += "[]"
			}
			in = in.Elem()
		}
		if in.Kind() == reflect.Struct {
			collect(fields, path+".", in)
		}
	}
}
