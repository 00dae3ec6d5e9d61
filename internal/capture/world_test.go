package capture_test

import (
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

const policyText = `version: 1
limits: {timeLimit: 15m, totalBytes: 256MiB, activePerVM: 2, startsPerHour: STARTS}
scope:
  subscriptions: [11111111-1111-1111-1111-111111111111]
  resourceGroups: [shop]
  requireTag: {pcapwarden: allowed}
landing:
  - {region: westeurope, storageAccountId: "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shoplanding"}
  - {region: northeurope, storageAccountId: "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/northlanding"}
  - {region: eastus, storageAccountId: "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shoplanding"}
profiles:
  - name: tls
    when: {alertRule: [tls]}
    capture: {timeLimit: 5m, totalBytes: 100MiB, instances: 2, filters: [{protocol: TCP, remotePort: "443"}]}
    approval: {mode: standing, reason: uploads, owner: net, approver: lead, expires: 2027-01-01}
    retention: 7d
  - name: dns
    when: {alertRule: [dns]}
    capture: {timeLimit: 5m, totalBytes: 100MiB, filters: [{protocol: UDP, remotePort: "53"}]}
    approval: {mode: standing, reason: lookups, owner: net, approver: lead, expires: 2027-01-01}
    retention: 7d
  - name: asked
    when: {alertRule: [asked]}
    capture: {timeLimit: 5m, totalBytes: 100MiB, filters: [{protocol: TCP, remotePort: "22"}]}
    approval: {mode: required, reason: intrusion, owner: soc, expires: 2027-01-01}
    retention: 7d
`

// vm is a machine that can be captured on.
func vm(name string) local.VM {
	return local.VM{
		ID: vms + name, Region: "westeurope", VMID: "id-of-" + name, Tags: map[string]string{"pcapwarden": "allowed"},
		AgentType: local.AgentLinux, Addresses: []string{"10.0.0.4"},
	}
}

func shop() local.World {
	tags := map[string]string{"pcapwarden": "allowed"}
	w := local.World{
		VMs: []local.VM{vm("web1"), vm("web2"), vm("web3")},
		ScaleSets: []local.ScaleSet{{
			ID: setID, Region: "westeurope", Tags: tags, AgentType: local.AgentLinux,
			Instances: []local.Instance{
				{ID: "0", AgentType: local.AgentLinux, Power: "deallocated"},
				{ID: "1", AgentType: local.AgentLinux},
				{ID: "2", AgentType: local.AgentLinux, Outdated: true},
				{ID: "3"},
				{ID: "4", AgentType: local.AgentLinux},
				{ID: "10", AgentType: local.AgentLinux},
			},
		}, {ID: flexID, Region: "westeurope", Tags: tags, Flexible: true}},
		Watchers: []local.NetworkWatcher{{ID: watcher + "west", Region: "westeurope"}, {ID: watcher + "east", Region: "eastus"}},
		Storage: []local.StorageAccount{
			{ID: group + "Microsoft.Storage/storageAccounts/shoplanding", Region: "westeurope"},
			{ID: group + "Microsoft.Storage/storageAccounts/northlanding", Region: "northeurope"},
		},
	}
	for _, name := range []string{"flex1", "flex2", "flex3"} {
		v := vm(name)
		v.ScaleSet = flexID
		w.VMs = append(w.VMs, v)
	}
	return w
}
