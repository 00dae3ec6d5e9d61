package arm

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// The agent is known by publisher and type: anybody may publish a type of
// that name, and call an extension what they like.
func TestAgent(t *testing.T) {
	installed := func(by, kind string) *armcompute.VirtualMachineExtension {
		return &armcompute.VirtualMachineExtension{Name: new("AzureNetworkWatcherExtension"), Properties: &armcompute.VirtualMachineExtensionProperties{
			Publisher: &by, Type: &kind, ProvisioningState: new("Succeeded"),
		}}
	}
	viewed := func(kind, code string) *armcompute.VirtualMachineExtensionInstanceView {
		return &armcompute.VirtualMachineExtensionInstanceView{Type: &kind, Statuses: []*armcompute.InstanceViewStatus{nil, {Code: &code}}}
	}
	ready := capture.Agent{Present: true, Type: agentLinux, ProvisioningState: "Succeeded"}
	tests := []struct {
		name       string
		extensions []*armcompute.VirtualMachineExtension
		views      []*armcompute.VirtualMachineExtensionInstanceView
		want       capture.Agent
	}{
		{"none", nil, nil, capture.Agent{}},
		{"installed", []*armcompute.VirtualMachineExtension{nil, {}, installed("microsoft.azure.networkwatcher", "NETWORKWATCHERAGENTLINUX")}, nil, ready},
		{"another_publisher", []*armcompute.VirtualMachineExtension{installed("Contoso", agentLinux)}, nil, capture.Agent{}},
		{"another_type", []*armcompute.VirtualMachineExtension{installed(publisher, "NetworkWatcherAgentPlan9")}, nil, capture.Agent{}},
		{"viewed", nil, []*armcompute.VirtualMachineExtensionInstanceView{nil, viewed(publisher+"."+agentLinux, "ProvisioningState/succeeded")}, ready},
		{"viewed_failed", nil, []*armcompute.VirtualMachineExtensionInstanceView{viewed(publisher+"."+agentLinux, "ProvisioningState/failed/137")}, capture.Agent{Present: true, Type: agentLinux, ProvisioningState: "Failed/137"}},
		{"viewed_of_another_publisher", nil, []*armcompute.VirtualMachineExtensionInstanceView{viewed("Contoso."+agentLinux, "ProvisioningState/succeeded"), viewed(agentLinux, "")}, capture.Agent{}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			if got := agent(c.extensions, c.views); got != c.want {
				t.Errorf("agent = %+v, want %+v", got, c.want)
			}
		})
	}
}
