package bicep

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
)

// A Node is a piece of syntax. Types are those of the grammar: object, array,
// string, boolean, number, identifier, call_expression and so on.
type Node struct {
	Type       string
	Start, End int // bytes of the source
	Children   []*Node

	source string
	broken bool
}

// UnmarshalJSON reads what parse.js writes.
func (n *Node) UnmarshalJSON(text []byte) error {
	parts := []any{&n.Type, &n.Start, &n.End, &n.Children, &n.broken}
	return json.Unmarshal(text, &parts)
}

// Text is the source of the piece; a node that is nil has none.
func (n *Node) Text() string {
	if n == nil {
		return ""
	}
	return n.source[n.Start:n.End]
}

// Line is where the piece begins.
func (n *Node) Line() int { return 1 + strings.Count(n.source[:n.Start], "\n") }

// all yields the node and everything below it.
func (n *Node) all() iter.Seq[*Node] {
	return func(yield func(*Node) bool) { n.walk(yield) }
}

func (n *Node) walk(yield func(*Node) bool) bool {
	if n == nil {
		return true
	}
	if !yield(n) {
		return false
	}
	for _, c := range n.Children {
		if !c.walk(yield) {
			return false
		}
	}
	return true
}

// All yields the nodes of a type at or below n.
func (n *Node) All(kind string) iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for d := range n.all() {
			if d.Type == kind && !yield(d) {
				return
			}
		}
	}
}

// Props yields the properties of an object literal; nothing else has any.
func (n *Node) Props() iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) {
		if n == nil || n.Type != "object" {
			return
		}
		for _, p := range n.Children {
			if p.Type != "object_property" {
				continue
			}
			key := p.Children[0].Text()
			if p.Children[0].Type == "string" {
				key = p.Children[0].Literal()
			}
			if !yield(key, p.Children[len(p.Children)-1]) {
				return
			}
		}
	}
}

// At is the value under the names, each a property of an object literal; nil
// where there is none.
func (n *Node) At(names ...string) *Node {
	for _, name := range names {
		var found *Node
		for key, value := range n.Props() {
			if key == name {
				found = value
			}
		}
		n = found
	}
	return n
}

// Items are the elements of an array literal. What a loop or a condition makes
// is not known, and left out.
func (n *Node) Items() []*Node {
	if n == nil || n.Type != "array" {
		return nil
	}
	var items []*Node
	for _, c := range n.Children {
		if c.Type != "comment" && c.Type != "for_statement" {
			items = append(items, c)
		}
	}
	return items
}

// Literal is the text of a string; each interpolation stays as it is written.
func (n *Node) Literal() string {
	if n == nil || n.Type != "string" {
		return ""
	}
	text := n.Text()
	if cut, ok := strings.CutPrefix(text, "'''"); ok {
		return strings.TrimPrefix(strings.TrimSuffix(cut, "'''"), "\n")
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "'"), "'")
	return strings.NewReplacer(`\'`, `'`, `\\`, `\`, `\$`, `$`, `\n`, "\n").Replace(text)
}

// Literals are the texts of an array of strings.
func (n *Node) Literals() []string {
	var all []string
	for _, item := range n.Items() {
		all = append(all, item.Literal())
	}
	return all
}

// Whole reports whether the string has no interpolation.
func (n *Node) Whole() bool {
	if n == nil || n.Type != "string" {
		return false
	}
	for range n.All("interpolation") {
		return false
	}
	return true
}

// String is for messages of tests.
func (n *Node) String() string {
	if n == nil {
		return "(nothing)"
	}
	return fmt.Sprintf("line %d: %.80s", n.Line(), strings.Join(strings.Fields(n.Text()), " "))
}
