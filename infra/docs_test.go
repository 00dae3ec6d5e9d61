package infra_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocsPointToWhatThereIs follows the links and the paths of the pages.
func TestDocsPointToWhatThereIs(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	source := regexp.MustCompile("`((?:internal|handler|functions|infra|test|docs|\\.github)/[A-Za-z0-9_./-]*)`")
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "../README.md", "../ARCHITECTURE.md", "../CONTRIBUTING.md", "../SECURITY.md", "../CHANGELOG.md")
	seen := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			seen++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
			}
		}
		for _, m := range source.FindAllStringSubmatch(string(text), -1) {
			seen++
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil && !strings.Contains(m[1], "NAME") {
				t.Errorf("%s speaks of %s, which does not exist", page, m[1])
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d links were followed", seen)
	}
}

// TestDocsNameWhatIsDeployed: commands of docs/DEPLOY.md use outputs and
// variables that exist.
func TestDocsNameWhatIsDeployed(t *testing.T) {
	text, err := os.ReadFile("../docs/DEPLOY.md")
	if err != nil {
		t.Fatal(err)
	}
	given, err := os.ReadFile("main.parameters.json")
	if err != nil {
		t.Fatal(err)
	}
	deploy, err := os.ReadFile("deploy.sh")
	if err != nil {
		t.Fatal(err)
	}
	entra, err := os.ReadFile("entra.sh")
	if err != nil {
		t.Fatal(err)
	}
	var outputs []string
	for _, o := range all(t)["main.bicep"].Outputs {
		outputs = append(outputs, o.Name)
	}
	for _, m := range regexp.MustCompile(`\$\{?([A-Z][A-Z_]+)`).FindAllStringSubmatch(string(text), -1) {
		if !slices.Contains(outputs, m[1]) && !strings.Contains(string(entra), m[1]) {
			t.Errorf("docs/DEPLOY.md uses $%s, which nobody sets", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`azd env set ([A-Z_]+)`).FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(string(given), "${"+m[1]) && !strings.Contains(string(deploy), "${"+m[1]) {
			t.Errorf("docs/DEPLOY.md sets %s, which nobody reads", m[1])
		}
	}
	for _, f := range sorted(all(t)) {
		if f.Name != "main.bicep" && f.Name != "identities.bicep" && f.Name != "grant.bicep" && !strings.Contains(string(text), "../infra/"+f.Name) {
			t.Errorf("docs/DEPLOY.md does not say what %s is", f.Name)
		}
	}
}
