package arm_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

func TestMachine(t *testing.T) {
	const node = "/subscriptions/" + subscription + "/resourceGroups/MC_shop_cluster_westeurope/providers/Microsoft.Compute/virtualMachines/node"
	ready := capture.Agent{Present: true, Type: local.AgentLinux, ProvisioningState: "Succeeded"}
	tests := []struct {
		name string
		vm   local.VM
		want capture.Machine
	}{
		{"everything", world().VMs[0], capture.Machine{
			ID: vmID, Region: "westeurope", VMID: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", Tags: map[string]string{"pcapwarden": "allowed"},
			Power: "running", Agent: ready, Addresses: []string{"10.0.0.4", "10.0.0.5"},
		}},
		{"deallocated_without_agent", local.VM{ID: vmID, Region: "westeurope", Power: "deallocated"}, capture.Machine{
			ID: vmID, Region: "westeurope", Power: "deallocated",
		}},
		{"agent_failed", local.VM{ID: vmID, Region: "westeurope", AgentType: local.AgentWindows, AgentState: "Failed"}, capture.Machine{
			ID: vmID, Region: "westeurope", Power: "running", Agent: capture.Agent{Present: true, Type: local.AgentWindows, ProvisioningState: "Failed"},
		}},
		{"another_extension", local.VM{ID: vmID, Region: "westeurope", AgentType: "CustomScript"}, capture.Machine{
			ID: vmID, Region: "westeurope", Power: "running",
		}},
		{"aks_by_group", local.VM{ID: node, Region: "westeurope"}, capture.Machine{
			ID: node, Region: "westeurope", Power: "running", ManagedBy: "AKS",
		}},
		{"aks_by_tag", local.VM{ID: vmID, Region: "westeurope", Tags: map[string]string{"aks-managed-poolName": "p"}}, capture.Machine{
			ID: vmID, Region: "westeurope", Power: "running", ManagedBy: "AKS", Tags: map[string]string{"aks-managed-poolName": "p"},
		}},
		{"managed_by_a_service", local.VM{ID: vmID, Region: "westeurope", ManagedBy: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Batch/x/y"}, capture.Machine{
			ID: vmID, Region: "westeurope", Power: "running", ManagedBy: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Batch/x/y",
		}},
		{"of_a_flexible_scale_set", local.VM{ID: vmID, Region: "westeurope", ScaleSet: flexID}, capture.Machine{
			ID: vmID, Region: "westeurope", Power: "running",
		}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			_, w := serve(t, local.World{VMs: []local.VM{c.vm}}, local.Options{})
			got, err := w.Machine(t.Context(), c.vm.ID)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Type = capture.AzureVM
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("Machine (-want +got):\n%s", diff)
			}
		})
	}
}

// The addresses are a help to the analysis: nothing depends on them.
func TestMachineWithoutItsAddresses(t *testing.T) {
	for _, fault := range []local.Fault{
		{Status: 403, Code: "AuthorizationFailed"}, {Status: 429, Code: "TooManyRequests"}, {Status: 404, Code: "ResourceNotFound"},
	} {
		_, w := serve(t, world(), local.Options{Fault: func(r *http.Request) *local.Fault {
			if strings.Contains(strings.ToLower(r.URL.Path), "/networkinterfaces") {
				return &fault
			}
			return nil
		}})
		for _, target := range []string{vmID, setID + "/virtualMachines/0"} {
			m, err := w.Machine(t.Context(), target)
			if err != nil || len(m.Addresses) != 0 || !m.Agent.Present {
				t.Errorf("Machine with interfaces answering %d = %+v, %v", fault.Status, m, err)
			}
		}
	}
}

func TestUniformScaleSet(t *testing.T) {
	set := local.ScaleSet{ID: setID, Region: "West Europe", Tags: map[string]string{"a": "b"}, AgentType: local.AgentLinux, Instances: []local.Instance{
		{ID: "0", AgentType: local.AgentLinux}, {ID: "3", Name: "shop3", Power: "stopped"}, {ID: "17", Outdated: true, Addresses: []string{"10.0.1.17"}},
	}}
	_, w := serve(t, local.World{ScaleSets: []local.ScaleSet{set}}, local.Options{PageSize: 2})
	ready := capture.Agent{Present: true, Type: local.AgentLinux, ProvisioningState: "Succeeded"}
	want := capture.Machine{
		ID: setID, Type: capture.AzureVMSS, Region: "westeurope", Tags: map[string]string{"a": "b"}, Agent: ready,
		Instances: []capture.Instance{
			{ID: "0", Name: "Shop-Set_0", Power: "running", LatestModel: true, Agent: ready},
			{ID: "3", Name: "shop3", Power: "stopped", LatestModel: true},
			{ID: "17", Name: "Shop-Set_17", Power: "running"},
		},
	}
	got, err := w.Machine(t.Context(), setID)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Machine: %v (-want +got):\n%s", err, diff)
	}
	want.Instances, want.Addresses = want.Instances[2:], []string{"10.0.1.17"}
	got, err = w.Machine(t.Context(), setID+"/virtualMachines/17")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Machine of an instance: %v (-want +got):\n%s", err, diff)
	}
}

func TestFlexibleScaleSet(t *testing.T) {
	flexible := world()
	flexible.ScaleSets = append(flexible.ScaleSets, local.ScaleSet{ID: flexID, Region: "westeurope", Flexible: true})
	member := local.VM{ID: vmID + "-flex", Region: "westeurope", ScaleSet: flexID, AgentType: local.AgentLinux, Power: "running"}
	flexible.VMs = append(flexible.VMs, member)
	_, w := serve(t, flexible, local.Options{})
	m, err := w.Machine(t.Context(), flexID)
	if err != nil {
		t.Fatal(err)
	}
	want := []capture.Instance{{ID: member.ID, Name: "Shop-1-flex", Power: "running", LatestModel: true,
		Agent: capture.Agent{Present: true, Type: local.AgentLinux, ProvisioningState: "Succeeded"}}}
	if diff := cmp.Diff(want, m.Instances); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	on := spec("pw-flex")
	on.Target = m.Instances[0].ID
	if _, err := w.Start(t.Context(), on); err != nil {
		t.Errorf("Start on a machine of a flexible scale set: %v", err)
	}
}

func TestLookupVM(t *testing.T) {
	const twin = "/subscriptions/" + subscription + "/resourceGroups/Other-RG/providers/Microsoft.Compute/virtualMachines/shop-1"
	twins := world()
	twins.VMs = append(twins.VMs, local.VM{ID: twin, Region: "westeurope"})
	_, w := serve(t, twins, local.Options{})
	id, err := w.LookupVM(t.Context(), subscription, []string{"empty", "shop-rg"}, "SHOP-1")
	if id != vmID || err != nil {
		t.Errorf("LookupVM = %q, %v; want %q", id, err, vmID)
	}
	if _, err := w.LookupVM(t.Context(), subscription, []string{"shop-rg"}, "shop-2"); !errors.Is(err, capture.ErrNotFound) {
		t.Errorf("LookupVM of no machine: %v, want ErrNotFound", err)
	}
	for _, name := range []string{"shop-1", "", "a/b", ".."} {
		id, err := w.LookupVM(t.Context(), subscription, []string{"shop-rg", "other-rg"}, name)
		if _, denied := errors.AsType[*capture.DeniedError](err); !denied {
			t.Errorf("LookupVM(%q) = %q, %v; want it refused", name, id, err)
		}
	}
}

func TestInterfaceVM(t *testing.T) {
	_, w := serve(t, world(), local.Options{})
	id, err := w.InterfaceVM(t.Context(), strings.ToLower(group)+"microsoft.network/networkinterfaces/shop-1-nic")
	if id != vmID || err != nil {
		t.Errorf("InterfaceVM = %q, %v; want %q", id, err, vmID)
	}
	if _, err := w.InterfaceVM(t.Context(), group+"Microsoft.Network/networkInterfaces/none"); !errors.Is(err, capture.ErrNotFound) {
		t.Errorf("InterfaceVM of no interface: %v, want ErrNotFound", err)
	}
	if _, err := w.InterfaceVM(t.Context(), vmID); err == nil {
		t.Error("InterfaceVM of a machine gave no error")
	}
}

// Role definitions know each action once, and none with a wildcard.
func TestActions(t *testing.T) {
	seen := map[string]bool{}
	for _, set := range [][]string{arm.OperatorActions(), arm.TargetActions(), arm.LandingActions()} {
		for _, a := range set {
			if seen[a] || strings.Contains(a, "*") || strings.HasSuffix(a, "/write") && a != arm.WriteCaptures {
				t.Errorf("action %q is repeated or too wide", a)
			}
			seen[a] = true
		}
	}
}
