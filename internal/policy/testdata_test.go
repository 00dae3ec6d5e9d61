package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/policy"
)

const (
	subscription = "0f3c2b1a-9d8e-4c7b-a6f5-e4d3c2b1a098"
	group        = "/subscriptions/" + subscription + "/resourceGroups/shop-rg/providers/"
	machine      = group + "Microsoft.Compute/virtualMachines/shop-web-1"
	healthy      = group + "Microsoft.Compute/virtualMachines/shop-healthy"
	scaleSet     = group + "Microsoft.Compute/virtualMachineScaleSets/shop-ss"
)

// valid is a policy that the tests break or change, one text at a time.
const valid = `version: 1
limits: {timeLimit: 15m, totalBytes: 256MiB, activePerVM: 2, startsPerHour: 20}
scope:
  subscriptions: [` + subscription + `]
  resourceGroups: [shop-rg, robots-rg]
  requireTag: {pcapwarden: allowed}
  denyTag: {class: secret}
landing:
  - region: West Europe
    storageAccountId: ` + group + `Microsoft.Storage/storageAccounts/landingweu
profiles:
  - name: partner-tls
    when: {alertRule: [upload-failures], severity: [Sev0, Sev1], signalType: [Metric, Log], targetType: [vm, vmss]}
    capture:
      timeLimit: 5m
      totalBytes: 100MiB
      bytesPerPacket: 0
      filters:
        - {protocol: TCP, remoteIP: 203.0.113.0/28, remotePort: "443"}
      instances: 3
      compareWith: []
    approval: {mode: standing, reason: agreed, owner: noc, approver: soc, expires: 2027-01-01}
    retention: 7d
expected: {outbound: [10.0.0.0/8], resolvers: [10.0.0.4]}
`

const filterLine = `{protocol: TCP, remoteIP: 203.0.113.0/28, remotePort: "443"}`

// change replaces texts of valid, each of which has to be there.
func change(t testing.TB, oldnew ...string) string {
	t.Helper()
	s := valid
	for pair := range slices.Chunk(oldnew, 2) {
		if strings.Count(s, pair[0]) != 1 {
			t.Fatalf("%q is there %d times", pair[0], strings.Count(s, pair[0]))
		}
		s = strings.Replace(s, pair[0], pair[1], 1)
	}
	return s
}

func load(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Load([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}
