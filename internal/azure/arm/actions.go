package arm

// The actions that the calls of this package need, as Azure's role
// definitions spell them. The custom roles in infra/ grant these and no
// others.
//
// Source: Microsoft's list of permissions for Network Watcher,
// https://learn.microsoft.com/azure/network-watcher/required-rbac-permissions.
const (
	// On the network watchers, or the resource group that holds them.
	ReadWatchers      = "Microsoft.Network/networkWatchers/read"
	ReadCaptures      = "Microsoft.Network/networkWatchers/packetCaptures/read"
	WriteCaptures     = "Microsoft.Network/networkWatchers/packetCaptures/write"
	DeleteCaptures    = "Microsoft.Network/networkWatchers/packetCaptures/delete"
	StopCaptures      = "Microsoft.Network/networkWatchers/packetCaptures/stop/action"
	QueryCaptures     = "Microsoft.Network/networkWatchers/packetCaptures/queryStatus/action"
	ReadCaptureStatus = "Microsoft.Network/networkWatchers/packetCaptures/queryStatus/read"

	// On the targets, or the resource groups that opted in.
	ReadMachines           = "Microsoft.Compute/virtualMachines/read"
	ReadMachineViews       = "Microsoft.Compute/virtualMachines/instanceView/read"
	ReadMachineExtensions  = "Microsoft.Compute/virtualMachines/extensions/read"
	ReadScaleSets          = "Microsoft.Compute/virtualMachineScaleSets/read"
	ReadScaleSetMachines   = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read"
	ReadScaleSetExtensions = "Microsoft.Compute/virtualMachineScaleSets/extensions/read"
	// Optional: without them a machine's addresses stay unknown.
	ReadInterfaces         = "Microsoft.Network/networkInterfaces/read"
	ReadScaleSetInterfaces = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/networkInterfaces/read"

	// On the network watchers, to ask what the network's rules say. Of these
	// only the diagnostic answers for scale sets.
	VerifyFlows   = "Microsoft.Network/networkWatchers/ipFlowVerify/action"
	AskNextHops   = "Microsoft.Network/networkWatchers/nextHop/action"
	DiagnoseFlows = "Microsoft.Network/networkWatchers/networkConfigurationDiagnostic/action"
	// On the targets' resource groups, and those of their virtual networks.
	ReadEffectiveRules       = "Microsoft.Network/networkInterfaces/effectiveNetworkSecurityGroups/action"
	ReadPublicAddresses      = "Microsoft.Network/publicIPAddresses/read"
	ReadPrivateEndpoints     = "Microsoft.Network/privateEndpoints/read"
	ReadLoadBalancers        = "Microsoft.Network/loadBalancers/read"
	ReadAllScaleSetAddresses = "Microsoft.Compute/virtualMachineScaleSets/networkInterfaces/read"
	// On the subscription: where Azure publishes its own addresses.
	ReadServiceTags = "Microsoft.Network/locations/serviceTags/read"

	// On the subscriptions of the watchers: where long-running calls are polled.
	ReadOperations       = "Microsoft.Network/locations/operations/read"
	ReadOperationResults = "Microsoft.Network/locations/operationResults/read"
	// On the subscriptions whose alert rules call: whether they really do.
	ReadAlerts = "Microsoft.AlertsManagement/alerts/read"

	// On the landing account alone: Network Watcher makes the SAS that the
	// agent uploads with in the caller's name.
	ReadStorage     = "Microsoft.Storage/storageAccounts/read"
	ListServiceSAS  = "Microsoft.Storage/storageAccounts/listServiceSas/action"
	ListAccountSAS  = "Microsoft.Storage/storageAccounts/listAccountSas/action"
	ListStorageKeys = "Microsoft.Storage/storageAccounts/listKeys/action"
)

// OperatorActions are what it takes to run captures: start, look, stop,
// delete. Scope: the network watchers.
func OperatorActions() []string {
	return []string{ReadWatchers, ReadCaptures, WriteCaptures, DeleteCaptures, StopCaptures, QueryCaptures, ReadCaptureStatus}
}

// TargetActions are what it takes to look a target up before a capture.
// Scope: the resource groups that opted in.
func TargetActions() []string {
	return []string{
		ReadMachines, ReadMachineViews, ReadMachineExtensions,
		ReadScaleSets, ReadScaleSetMachines, ReadScaleSetExtensions,
		ReadInterfaces, ReadScaleSetInterfaces,
	}
}

// SubscriptionActions are what it takes to learn how a call ended that Azure
// goes on with by itself, and whether an alert is one. Scope: the
// subscriptions of the watchers.
func SubscriptionActions() []string {
	return []string{ReadOperations, ReadOperationResults, ReadAlerts}
}

// ContextActions are what it takes to ask what the network's rules say about
// a flow, and whose its addresses are; none of them changes anything. Scope:
// the network watchers, the resource groups that opted in, and those of their
// virtual networks. Without them, findings come without that context.
func ContextActions() []string {
	return []string{
		ReadWatchers, VerifyFlows, AskNextHops, DiagnoseFlows,
		ReadMachines, ReadInterfaces, ReadScaleSetInterfaces, ReadAllScaleSetAddresses, ReadEffectiveRules,
		ReadPublicAddresses, ReadPrivateEndpoints, ReadLoadBalancers,
	}
}

// ContextSubscriptionActions go with ContextActions. Scope: the subscription,
// where these resources are.
func ContextSubscriptionActions() []string {
	return []string{ReadServiceTags, ReadOperations, ReadOperationResults}
}

// LandingActions are what Network Watcher asks of the caller on the account
// that the capture is written to. Scope: that account alone.
func LandingActions() []string {
	return []string{ReadStorage, ListServiceSAS, ListAccountSAS, ListStorageKeys}
}
