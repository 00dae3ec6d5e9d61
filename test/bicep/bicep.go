// Package bicep reads Bicep files for tests: declarations and their syntax
// trees. It resolves nothing; what a file means is for the compiler in Azure's
// tools, what it says can be checked without.
//
// The grammar is tree-sitter-bicep's, which lacks some of the language: there
// is no parser of the whole language that needs no download of its own.
package bicep

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/test/node"
)

// A File is what a Bicep file declares, in the order of the file.
type File struct {
	Name      string // as given
	Scope     string // targetScope: resourceGroup, if the file does not say
	Params    []Param
	Vars      []Var
	Resources []Resource
	Modules   []Module
	Outputs   []Output
	Errors    []string // where it is no Bicep, by line
	Root      *Node
}

// A Param is a parameter of a file.
type Param struct {
	Name, Type string
	Default    *Node // nil: it has to be given
	Decorators []*Node
}

// Secure reports whether the parameter is kept out of logs and histories.
func (p Param) Secure() bool {
	for _, d := range p.Decorators {
		if d.Text() == "@secure()" {
			return true
		}
	}
	return false
}

// A Var is a variable of a file.
type Var struct {
	Name  string
	Value *Node
}

// A Resource is a resource that a file declares or, if Existing, refers to.
type Resource struct {
	Symbol, Type, APIVersion string
	Existing                 bool
	Condition                *Node // nil: always
	Loop                     *Node // what it is repeated over; nil: it is one
	Body                     *Node
	Node                     *Node // the whole declaration
}

// A Module is another file that a file deploys.
type Module struct {
	Symbol, Path string // relative to the file
	Condition    *Node
	Loop         *Node
	Body         *Node
	Node         *Node
}

// An Output is a value that a file returns.
type Output struct {
	Name, Type string
	Value      *Node
	Decorators []*Node
}

// Parse reads the files. Without Node.js the test is skipped, except in CI. A
// file that is no Bicep has Errors.
func Parse(t testing.TB, names ...string) []*File {
	t.Helper()
	dir, err := node.Folder("bicep")
	if err != nil {
		node.Unavailable(t, fmt.Errorf("bicep: %w", err))
	}
	args := []string{filepath.Join(dir, "parse.js")}
	for _, name := range names {
		abs, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, abs)
	}
	out, err := exec.CommandContext(t.Context(), "node", args...).Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		t.Fatal("parse Bicep: ", err)
	}
	var trees []struct {
		Broken bool
		Root   *Node
	}
	if err := json.Unmarshal(out, &trees); err != nil {
		t.Fatal("parse Bicep: ", err)
	}
	files := make([]*File, len(names))
	for i, tree := range trees {
		source, err := os.ReadFile(names[i])
		if err != nil {
			t.Fatal(err)
		}
		files[i] = read(names[i], string(source), tree.Root, tree.Broken)
	}
	return files
}

func read(name, source string, root *Node, broken bool) *File {
	f := &File{Name: name, Scope: "resourceGroup", Root: root}
	for i, r := range source {
		if r > 0x7e || r < ' ' && r != '\n' {
			f.Errors = append(f.Errors, fmt.Sprintf("line %d: %q: only ASCII and line feeds", 1+strings.Count(source[:i], "\n"), r))
			return f // positions would be off
		}
	}
	for n := range root.all() {
		n.source = source
		if n.broken {
			f.Errors = append(f.Errors, fmt.Sprintf("line %d: not Bicep, in or after %.60q", n.Line(), n.Text()))
		}
	}
	if broken && len(f.Errors) == 0 {
		f.Errors = append(f.Errors, "not Bicep")
	}
	if len(f.Errors) > 0 {
		return f
	}
	var decorators []*Node
	for _, n := range root.Children {
		if n.Type == "decorators" {
			decorators = n.Children
			continue
		}
		f.declare(n, decorators)
		decorators = nil
	}
	return f
}

func (f *File) declare(n *Node, decorators []*Node) {
	c := n.Children
	switch n.Type {
	case "target_scope_assignment":
		f.Scope = c[0].Literal()
	case "parameter_declaration":
		p := Param{Name: c[0].Text(), Type: c[1].Text(), Decorators: decorators}
		if len(c) > 2 {
			p.Default = c[2]
		}
		f.Params = append(f.Params, p)
	case "variable_declaration":
		f.Vars = append(f.Vars, Var{c[0].Text(), c[len(c)-1]})
	case "output_declaration":
		f.Outputs = append(f.Outputs, Output{c[0].Text(), c[1].Text(), c[len(c)-1], decorators})
	case "resource_declaration":
		r := Resource{Symbol: c[0].Text(), Node: n}
		r.Type, r.APIVersion, _ = strings.Cut(c[1].Literal(), "@")
		r.Existing = strings.HasPrefix(strings.TrimSpace(n.source[c[1].End:]), "existing")
		r.Loop, r.Condition, r.Body = repeated(c[2])
		f.Resources = append(f.Resources, r)
	case "module_declaration":
		m := Module{Symbol: c[0].Text(), Path: c[1].Literal(), Node: n}
		m.Loop, m.Condition, m.Body = repeated(c[2])
		f.Modules = append(f.Modules, m)
	case "comment", "diagnostic_comment", "metadata_declaration":
	default:
		f.Errors = append(f.Errors, fmt.Sprintf("line %d: %s is not read here", n.Line(), n.Type))
	}
}

// repeated takes the loop and the condition off a body.
func repeated(n *Node) (loop, condition, body *Node) {
	if n.Type == "for_statement" {
		loop, n = n.Children[1], n.Children[len(n.Children)-1]
	}
	if n.Type == "if_statement" {
		condition, n = n.Children[0], n.Children[len(n.Children)-1]
	}
	return loop, condition, n
}
