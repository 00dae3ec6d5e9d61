package infra_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/test/bicep"
)

// functions of Bicep that the files call, with no more arguments than needed
// to tell them from a typing error.
// https://learn.microsoft.com/azure/azure-resource-manager/bicep/bicep-functions
var functions = []string{
	"cidrSubnet", "concat", "empty", "environment", "guid", "loadTextContent", "map", "replace", "resourceGroup",
	"string", "subscription", "subscriptionResourceId", "take", "tenant", "toLower", "union", "uniqueString", "utcNow",
}

// TestNamesResolve finds the mistakes that a compiler finds first: names that
// nobody declared, and those that nobody uses.
func TestNamesResolve(t *testing.T) {
	for _, f := range sorted(all(t)) {
		declared := map[string]bool{} // and used
		for _, p := range f.Params {
			declared[p.Name] = false
		}
		for _, v := range f.Vars {
			declared[v.Name] = false
		}
		symbols := map[string]bool{}
		for _, r := range f.Resources {
			symbols[r.Symbol] = true
		}
		for _, m := range f.Modules {
			symbols[m.Symbol] = true
		}
		for name := range declared {
			if symbols[name] {
				t.Errorf("%s: %s is declared twice", f.Name, name)
			}
		}
		use := func(n *bicep.Node) {
			name := n.Text()
			if _, ok := declared[name]; ok {
				declared[name] = true
			} else if !symbols[name] {
				t.Errorf("%s:%d: %s is not declared", f.Name, n.Line(), name)
			}
		}
		for _, n := range f.Root.Children {
			switch n.Type {
			case "parameter_declaration", "output_declaration", "variable_declaration", "resource_declaration", "module_declaration":
				for _, c := range n.Children[1:] {
					if c.Type != "type" {
						resolve(t, f, c, nil, use)
					}
				}
			}
		}
		for name, used := range declared {
			if !used {
				t.Errorf("%s: %s is never used", f.Name, name)
			}
		}
	}
}

// resolve calls use with every name that is not bound by a loop or a lambda.
func resolve(t *testing.T, f *bicep.File, n *bicep.Node, bound []string, use func(*bicep.Node)) {
	t.Helper()
	children := n.Children
	switch n.Type {
	case "identifier":
		if !slices.Contains(bound, n.Text()) {
			use(n)
		}
		return
	case "object_property":
		children = children[1:]
	case "call_expression":
		if children[0].Type == "identifier" {
			if !slices.Contains(functions, children[0].Text()) {
				t.Errorf("%s:%d: there is no function %s here", f.Name, n.Line(), children[0].Text())
			}
			children = children[1:]
		}
	case "for_statement", "lambda_expression":
		if first := children[0]; first.Type == "for_loop_parameters" {
			for _, p := range first.Children {
				bound = append(slices.Clone(bound), p.Text())
			}
		} else {
			bound = append(slices.Clone(bound), first.Text())
		}
		children = children[1:]
	}
	for _, c := range children {
		resolve(t, f, c, bound, use)
	}
}

// TestModulesGetWhatTheyTake compares each call of a module with the module.
func TestModulesGetWhatTheyTake(t *testing.T) {
	files := all(t)
	for _, f := range sorted(files) {
		for _, m := range f.Modules {
			called := files[m.Path]
			given := maps.Collect(m.Body.At("params").Props())
			for _, p := range called.Params {
				value, ok := given[p.Name]
				delete(given, p.Name)
				if !ok {
					if p.Default == nil {
						t.Errorf("%s: module %s lacks %s", f.Name, m.Symbol, p.Name)
					}
					continue
				}
				if have := kind(files, f, value); have != "" && have != p.Type {
					t.Errorf("%s: module %s takes a %s as %s, not a %s", f.Name, m.Symbol, p.Type, p.Name, have)
				}
			}
			for name := range given {
				t.Errorf("%s: module %s takes no %s", f.Name, m.Symbol, name)
			}
			// A module is deployed where its file says.
			scope := "resourceGroup"
			if s := m.Body.At("scope"); s == nil {
				scope = f.Scope
			} else if strings.HasPrefix(s.Text(), "subscription(") {
				scope = "subscription"
			}
			if scope != called.Scope {
				t.Errorf("%s: module %s is for a %s, and deployed to a %s", f.Name, m.Symbol, called.Scope, scope)
			}
		}
		for n := range f.Root.All("member_expression") {
			output(t, files, f, n)
		}
	}
}

// kind is the type of a value, where it is plain to see.
func kind(files map[string]*bicep.File, f *bicep.File, n *bicep.Node) string {
	switch n.Type {
	case "string":
		return "string"
	case "array", "for_statement":
		return "array"
	case "object":
		return "object"
	case "number":
		return "int"
	case "boolean":
		return "bool"
	case "identifier":
		for _, p := range f.Params {
			if p.Name == n.Text() {
				return p.Type
			}
		}
	case "member_expression":
		if module, name, ok := outputOf(files, f, n); ok {
			for _, o := range module.Outputs {
				if o.Name == name {
					return o.Type
				}
			}
		}
	}
	return ""
}

// outputOf takes MODULE.outputs.NAME apart.
func outputOf(files map[string]*bicep.File, f *bicep.File, n *bicep.Node) (*bicep.File, string, bool) {
	symbol, name, ok := strings.Cut(n.Text(), ".outputs.")
	if !ok || strings.Contains(name, ".") {
		return nil, "", false
	}
	symbol, _, _ = strings.Cut(symbol, "[")
	for _, m := range f.Modules {
		if m.Symbol == symbol {
			return files[m.Path], name, true
		}
	}
	return nil, "", false
}

// output checks that a module returns what is asked of it.
func output(t *testing.T, files map[string]*bicep.File, f *bicep.File, n *bicep.Node) {
	t.Helper()
	symbol, rest, ok := strings.Cut(n.Text(), ".outputs.")
	if !ok {
		return
	}
	symbol, _, _ = strings.Cut(symbol, "[")
	name, part, deep := strings.Cut(rest, ".")
	for _, m := range f.Modules {
		if m.Symbol != symbol {
			continue
		}
		for _, o := range files[m.Path].Outputs {
			if o.Name != name {
				continue
			}
			if deep && o.Value.At(part) == nil {
				t.Errorf("%s:%d: output %s of %s has no %s", f.Name, n.Line(), name, m.Path, part)
			}
			return
		}
		t.Errorf("%s:%d: %s has no output %s", f.Name, n.Line(), m.Path, name)
		return
	}
	t.Errorf("%s:%d: %s is no module", f.Name, n.Line(), symbol)
}

// TestNamesAreKnownFromTheStart: Azure plans a deployment before it runs, so
// names, loops, conditions and scopes must not depend on what it makes.
func TestNamesAreKnownFromTheStart(t *testing.T) {
	for _, f := range sorted(all(t)) {
		check := func(what string, n *bicep.Node) {
			if n == nil {
				return
			}
			for _, late := range []string{".properties.", ".outputs.", ".identity.principalId"} {
				if strings.Contains(n.Text(), late) {
					t.Errorf("%s:%d: %s depends on %s, which is not known before the deployment", f.Name, n.Line(), what, late)
				}
			}
			for id := range n.All("identifier") {
				for _, v := range f.Vars {
					if v.Name == id.Text() && strings.Contains(v.Value.Text(), ".properties.") {
						t.Errorf("%s:%d: %s depends on %s, which is not known before the deployment", f.Name, n.Line(), what, v.Name)
					}
				}
			}
		}
		for _, r := range f.Resources {
			check("the name", r.Body.At("name"))
			check("the loop", r.Loop)
			check("the condition", r.Condition)
		}
		for _, m := range f.Modules {
			check("the name", m.Body.At("name"))
			check("the scope", m.Body.At("scope"))
			check("the loop", m.Loop)
			check("the condition", m.Condition)
		}
	}
}
