package infra_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/identity"
)

// TestRegistration compares the roles that callers can be given with those
// that the program asks for.
func TestRegistration(t *testing.T) {
	text, err := os.ReadFile("registration.json")
	if err != nil {
		t.Fatal(err)
	}
	var registration struct {
		AppRoles []struct {
			ID, Value          string
			AllowedMemberTypes []string
			IsEnabled          bool
		}
	}
	if err := json.Unmarshal(text, &registration); err != nil {
		t.Fatal(err)
	}
	var roles, ids []string
	for _, r := range registration.AppRoles {
		roles, ids = append(roles, r.Value), append(ids, r.ID)
		if !r.IsEnabled || !identity.IsGUID(r.ID) {
			t.Errorf("role %s cannot be given", r.Value)
		}
		if r.Value == identity.Alerts && !slices.Equal(r.AllowedMemberTypes, []string{"Application"}) {
			t.Error("a person can be given the role of action groups")
		}
	}
	want := []string{identity.Alerts, identity.Approver, identity.Operator, identity.Reader}
	slices.Sort(want)
	slices.Sort(roles)
	if diff := cmp.Diff(want, roles); diff != "" {
		t.Errorf("roles (-asked for +given):\n%s", diff)
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != len(want) {
		t.Errorf("role IDs repeat: %v", ids)
	}
}

// TestScripts: they can be read by a shell, name who may send alerts, and pass
// on all that main.bicep returns and alerts.bicep takes.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("*.sh")
	if err != nil || len(scripts) != 2 {
		t.Fatalf("%v: %v", scripts, err)
	}
	texts := map[string]string{}
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
		if info, err := os.Stat(name); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s cannot be run", name)
		}
		if !strings.Contains(texts[name], "\nset -euo pipefail\n") {
			t.Errorf("%s goes on after a mistake", name)
		}
		if said, err := exec.CommandContext(t.Context(), "bash", "-n", name).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
	if !strings.Contains(texts["entra.sh"], identity.ActionGroups) || !strings.Contains(texts["entra.sh"], "assign "+identity.Alerts+" ") {
		t.Error("entra.sh does not let Azure Monitor send alerts")
	}
	files := all(t)
	for _, p := range files["alerts.bicep"].Params {
		if !strings.Contains(texts["deploy.sh"], p.Name+"=") && !strings.Contains(texts["deploy.sh"], p.Name+":") && p.Name != "location" {
			t.Errorf("deploy.sh does not say %s to alerts.bicep", p.Name)
		}
	}
	for _, name := range []string{"AZURE_RESOURCE_GROUP", "CONTROL_APP", "ANALYZE_APP", "ALERT_ENDPOINT", "WORKSPACE", "LANDING_ACCOUNTS"} {
		if !strings.Contains(texts["deploy.sh"], "$"+name) && !strings.Contains(texts["deploy.sh"], "${"+name) {
			t.Errorf("deploy.sh makes no use of %s", name)
		}
		i := 0
		for _, o := range files["main.bicep"].Outputs {
			if o.Name == name {
				i++
			}
		}
		if i != 1 {
			t.Errorf("main.bicep does not return %s", name)
		}
	}
}

// TestActionsArePinned: a tag can be moved to other code, a commit cannot.
func TestActionsArePinned(t *testing.T) {
	workflows, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(workflows) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	pinned := regexp.MustCompile(`^[a-z/-]+@[0-9a-f]{40} # v[0-9.]+$`)
	commits := map[string]string{}
	for _, name := range workflows {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\npermissions:\n  contents: read\n") {
			t.Errorf("%s: a workflow begins with reading alone", name)
		}
		for line := range strings.Lines(string(text)) {
			_, action, ok := strings.Cut(line, "uses: ")
			action = strings.TrimSpace(action)
			if ok && !pinned.MatchString(action) {
				t.Errorf("%s: %s is not pinned to a commit", name, action)
			}
			if at, version, _ := strings.Cut(action, " # "); ok {
				if other := commits[at]; other != "" && other != version {
					t.Errorf("%s is %s, and %s elsewhere", at, version, other)
				}
				commits[at] = version
			}
		}
	}
}
