package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxBytes is the largest policy file.
const MaxBytes = 256 << 10

// A Mistake is one thing wrong in a policy file, or to be warned of.
type Mistake struct {
	Line    int    // from 1
	Path    string // such as "profiles[0].capture.timeLimit"; "" for the file as a whole
	Message string
}

func (m Mistake) String() string {
	if m.Path == "" {
		return fmt.Sprintf("%d: %s", m.Line, m.Message)
	}
	return fmt.Sprintf("%d: %s: %s", m.Line, m.Path, m.Message)
}

// InvalidError lists every mistake of a policy file, in order of lines.
type InvalidError struct{ Mistakes []Mistake }

// Error has a line for each mistake.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		lines[i] = "line " + m.String()
	}
	return strings.Join(lines, "\n")
}

// A file collects what is wrong while it is read.
type file struct {
	mistakes    []Mistake
	warnings    []Mistake
	scopeBroken bool // what is out of it cannot be told
}

// A node is a value of the file, and the way to it.
type node struct {
	*yaml.Node
	path string
	file *file
}

func (n node) fail(format string, args ...any) {
	// Aliases are reported once, by reject; what they stand for is not read.
	if n.Kind != yaml.AliasNode {
		n.file.mistakes = append(n.file.mistakes, Mistake{n.Line, n.path, fmt.Sprintf(format, args...)})
	}
}

func (n node) warn(format string, args ...any) {
	n.file.warnings = append(n.file.warnings, Mistake{n.Line, n.path, fmt.Sprintf(format, args...)})
}

func (n node) at(child *yaml.Node, step string) node {
	path := n.path + step
	return node{child, strings.TrimPrefix(path, "."), n.file}
}

func (n node) null() bool {
	return n.Node == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// An object is a mapping of the file.
type object struct {
	node
	fields map[string]node
}

// object reads a mapping that may have these keys and no others.
func (n node) object(keys ...string) (object, bool) {
	o := object{n, make(map[string]node)}
	if n.Kind != yaml.MappingNode {
		n.fail("expected keys and values: %s", strings.Join(keys, ", "))
		return o, false
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		child := n.at(value, "."+key.Value)
		switch {
		case !slices.Contains(keys, key.Value):
			child.Node = key
			child.path = strings.TrimPrefix(n.path+"."+shorten(key.Value), ".")
			child.fail("unknown key%s; allowed are %s", suggestion(key.Value, keys), strings.Join(keys, ", "))
		case o.fields[key.Value].Node == nil && !child.null(): // of duplicates the first; "key:" alone is absent
			o.fields[key.Value] = child
		}
	}
	return o, true
}

// optional returns the value of a key, and false if there is none.
func (o object) optional(key string) (node, bool) {
	n, ok := o.fields[key]
	return n, ok
}

// required is optional, and a mistake if there is none.
func (o object) required(key, why string) (node, bool) {
	n, ok := o.fields[key]
	if !ok {
		o.at(o.Node, "."+key).fail("is missing: %s", why)
	}
	return n, ok
}

// list returns the values of a sequence that is not empty.
func (n node) list() []node {
	if n.Kind != yaml.SequenceNode {
		n.fail("expected a list, such as [a, b]")
		return nil
	}
	if len(n.Content) == 0 {
		n.fail("the list is empty")
	}
	items := make([]node, 0, len(n.Content))
	for i, item := range n.Content {
		items = append(items, n.at(item, fmt.Sprintf("[%d]", i)))
	}
	return items
}

// emptyList reports whether n is [].
func (n node) emptyList() bool { return n.Kind == yaml.SequenceNode && len(n.Content) == 0 }

// text returns a scalar as it is written, quoted or not.
func (n node) text() (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		n.fail("expected one value")
	case n.null() || n.Value == "":
		n.fail("is empty")
	default:
		return n.Value, true
	}
	return "", false
}

// parse reads one YAML document and refuses what makes a reader see other
// values than the writer: anchors, aliases, merge keys, tags, duplicate keys.
func (f *file) parse(data []byte) (node, bool) {
	fail := func(line int, format string, args ...any) (node, bool) {
		f.mistakes = append(f.mistakes, Mistake{Line: line, Message: fmt.Sprintf(format, args...)})
		return node{}, false
	}
	switch {
	case len(data) > MaxBytes:
		return fail(1, "the file has %d bytes; at most %d KiB are read", len(data), MaxBytes>>10)
	case !utf8.Valid(data):
		return fail(1, "the file is not UTF-8")
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := d.Decode(&document); errors.Is(err, io.EOF) {
		return fail(1, "the file is empty")
	} else if err != nil {
		line, message := syntaxError(err)
		return fail(line, "%s", message)
	}
	var second yaml.Node
	if err := d.Decode(&second); err == nil {
		return fail(max(second.Line, 1), "a second document begins here; a policy is one")
	} else if !errors.Is(err, io.EOF) {
		line, message := syntaxError(err)
		return fail(line, "%s", message)
	}
	root := node{document.Content[0], "", f}
	root.reject()
	return root, true
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func syntaxError(err error) (line int, message string) {
	line, message = 1, err.Error()
	if m := yamlError.FindStringSubmatch(strings.ReplaceAll(message, "\n", " ")); m != nil {
		message = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	return line, "not YAML: " + shorten(message)
}

// reject walks the whole tree, the unknown parts too.
func (n node) reject() {
	if n.Anchor != "" {
		n.fail("anchors are not allowed: write the value out")
	}
	if n.Style&yaml.TaggedStyle != 0 {
		n.fail("tags such as %+q are not allowed", shorten(n.Tag))
	}
	switch n.Kind {
	case yaml.AliasNode:
		n.file.mistakes = append(n.file.mistakes, Mistake{n.Line, n.path, "aliases are not allowed: write the value out"})
	case yaml.SequenceNode:
		for i, item := range n.Content {
			n.at(item, fmt.Sprintf("[%d]", i)).reject()
		}
	case yaml.MappingNode:
		seen := make(map[string]int)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.at(n.Content[i], "."+shorten(n.Content[i].Value))
			switch line, twice := seen[key.Value]; {
			case key.Kind != yaml.ScalarNode:
				key.path = n.path
				key.fail("a key must be a plain word")
			case key.Tag == "!!merge":
				key.fail("merge keys are not allowed: write the values out")
			case twice:
				key.fail("is there twice, first in line %d", line)
			default:
				seen[key.Value] = key.Line
			}
			key.Node = n.Content[i]
			if key.Kind != yaml.ScalarNode || key.Anchor != "" {
				key.reject()
			}
			n.at(n.Content[i+1], "."+shorten(n.Content[i].Value)).reject()
		}
	}
}

// sorted returns mistakes in the order of the file, each once.
func sorted(mistakes []Mistake) []Mistake {
	slices.SortStableFunc(mistakes, func(a, b Mistake) int { return cmp.Compare(a.Line, b.Line) })
	return slices.Compact(mistakes)
}

// shorten cuts foreign text for a message.
func shorten(s string) string {
	const limit = 60
	if len(s) <= limit {
		return s
	}
	end := limit
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// suggestion says which key was probably meant: one that is equal but for
// case, or one letter away.
func suggestion(key string, keys []string) string {
	for _, k := range keys {
		if strings.EqualFold(k, key) || oneEdit(strings.ToLower(k), strings.ToLower(key)) {
			return fmt.Sprintf(" (did you mean %s?)", k)
		}
	}
	return ""
}

// oneEdit reports whether one inserted, removed or replaced byte, or two
// swapped, make a b.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		swapped := i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
		return swapped || i < len(a) && a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:]
}
