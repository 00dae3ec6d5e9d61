package resourceid_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

const (
	sub = "/subscriptions/11111111-2222-3333-4444-555555555555"
	vm  = sub + "/resourceGroups/app-rg/providers/Microsoft.Compute/virtualMachines/web01"
)

func TestParse(t *testing.T) {
	type parts struct{ Subscription, Group, Namespace, Type, Name, Parent string }
	tests := []struct {
		name string
		in   string
		want parts
	}{
		{"vm", vm, parts{sub[15:], "app-rg", "Microsoft.Compute", "Microsoft.Compute/virtualMachines", "web01", ""}},
		{
			"lower_cased_by_azure", strings.ToLower(vm),
			parts{sub[15:], "app-rg", "microsoft.compute", "microsoft.compute/virtualmachines", "web01", ""},
		},
		{
			"scale_set_instance",
			sub + "/resourceGroups/rg_(1).x/providers/Microsoft.Compute/virtualMachineScaleSets/ss/virtualMachines/0",
			parts{
				sub[15:], "rg_(1).x", "Microsoft.Compute",
				"Microsoft.Compute/virtualMachineScaleSets/virtualMachines", "0",
				sub + "/resourceGroups/rg_(1).x/providers/Microsoft.Compute/virtualMachineScaleSets/ss",
			},
		},
		{
			"alert_of_the_subscription", sub + "/providers/Microsoft.AlertsManagement/alerts/a1",
			parts{sub[15:], "", "Microsoft.AlertsManagement", "Microsoft.AlertsManagement/alerts", "a1", ""},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := resourceid.Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			parent, ok := id.Parent()
			if ok != (tt.want.Parent != "") {
				t.Errorf("Parent() ok = %v", ok)
			}
			got := parts{id.Subscription(), id.ResourceGroup(), id.Namespace(), id.Type(), id.Name(), parent.String()}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", tt.in, diff)
			}
			if id.String() != tt.in {
				t.Errorf("String() = %q", id)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	group := sub + "/resourceGroups/app-rg"
	tests := []struct{ name, in string }{
		{"empty", ""},
		{"relative", vm[1:]},
		{"root", "/"},
		{"wildcard_subscription", strings.Replace(vm, sub[15:], "*", 1)},
		{"wildcard_name", vm[:len(vm)-5] + "*"},
		{"placeholder", strings.Replace(vm, sub[15:], "<subscription ID>", 1)},
		{"trailing_slash", vm + "/"},
		{"double_slash", strings.Replace(vm, "/providers", "//providers", 1)},
		{"leading_double_slash", "/" + vm},
		{"dot_dot", strings.Replace(vm, "app-rg", "..", 1)},
		{"dot_dot_inside", strings.Replace(vm, "app-rg", "a..b", 1)},
		{"dot", strings.Replace(vm, "app-rg", ".", 1)},
		{"dot_at_the_end", strings.Replace(vm, "app-rg", "app-rg.", 1)},
		{"percent", strings.Replace(vm, "app-rg", "app%2frg", 1)},
		{"query", vm + "?api-version=1"},
		{"fragment", vm + "#x"},
		{"backslash", strings.Replace(vm, "app-rg", `app\rg`, 1)},
		{"space", vm + " "},
		{"newline", vm + "\n"},
		{"nul", vm + "\x00"},
		{"cyrillic", strings.Replace(vm, "web01", "wеb01", 1)},
		{"fullwidth_digit", strings.Replace(vm, "web01", "web０1", 1)},
		{"zero_width_joiner", strings.Replace(vm, "web01", "web\u200d01", 1)},
		{"right_to_left", strings.Replace(vm, "web01", "\u202eweb01", 1)},
		{"kelvin_sign", strings.Replace(vm, "web01", "\u212a", 1)},
		{"invalid_utf8", vm + "\xff"},
		{"type_without_name", group + "/providers/Microsoft.Compute/virtualMachines"},
		{"namespace_alone", group + "/providers/Microsoft.Compute"},
		{"namespace_without_dot", group + "/providers/Compute/virtualMachines/web01"},
		{"child_type_without_name", vm + "/extensions"},
		{"extension_resource", vm + "/providers/Microsoft.Insights/diagnosticSettings/x"},
		{"two_groups", group + "/resourceGroups/b/providers/Microsoft.Compute/virtualMachines/web01"},
		{"group_without_name", sub + "/resourceGroups"},
		{"no_providers", group + "/Microsoft.Compute/virtualMachines/web01"},
		{"tenant_level", "/providers/Microsoft.Management/managementGroups/x"},
		{"long_segment", vm + strings.Repeat("a", resourceid.MaxSegment)},
		{"long", vm + strings.Repeat("/extensions/e", 200)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := resourceid.Parse(tt.in)
			if err == nil {
				t.Fatalf("Parse(%q) = %v, want an error", tt.in, id)
			}
			if errors.Is(err, resourceid.ErrScope) {
				t.Errorf("Parse(%q) = %v, a malformed ID is no scope", tt.in, err)
			}
			if len(err.Error()) > 600 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestParseScope(t *testing.T) {
	for _, in := range []string{sub, sub + "/resourcegroups/app-rg"} {
		if _, err := resourceid.Parse(in); !errors.Is(err, resourceid.ErrScope) {
			t.Errorf("Parse(%q) = %v, want ErrScope", in, err)
		}
	}
}

func TestEqual(t *testing.T) {
	a, b := resourceid.MustParse(vm), resourceid.MustParse(strings.ToUpper(vm))
	if !a.Equal(b) || a.Key() != b.Key() || !b.Is(resourceid.TypeVM) {
		t.Errorf("%v and %v are the same machine", a, b)
	}
	if a.Equal(resourceid.MustParse(vm + "0")) {
		t.Error("web01 equals web010")
	}
}

func TestJSON(t *testing.T) {
	type record struct{ Target, None resourceid.ID }
	in := record{Target: resourceid.MustParse(vm)}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out record
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	if out != in {
		t.Errorf("%s came back as %v", text, out)
	}
	if err := json.Unmarshal([]byte(`{"Target":"/x"}`), &out); err == nil {
		t.Error("an invalid ID was read")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", vm, sub, vm + "/", strings.ToLower(vm), sub + "/providers/Microsoft.A/b/c/d/e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := resourceid.Parse(s)
		if err != nil {
			return
		}
		if again, err := resourceid.Parse(id.Key()); err != nil || !again.Equal(id) {
			t.Errorf("Parse(Key()) = %v, %v; want %v", again, err, id)
		}
		if parent, ok := id.Parent(); ok && !strings.HasPrefix(s, parent.String()+"/") {
			t.Errorf("%v is no parent of %v", parent, id)
		}
	})
}
