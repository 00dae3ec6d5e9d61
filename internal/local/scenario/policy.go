package scenario

import (
	"strings"
	"time"
)

// Policy returns the policy file of the story, in YAML. Its approval expires
// 90 days from now, as one does that somebody renews every quarter.
func (s Scenario) Policy(now time.Time) []byte {
	return []byte(strings.NewReplacer(
		"SUBSCRIPTION", s.Subscription,
		"GROUP", s.ResourceGroup,
		"REGION", s.Region,
		"LANDING", s.Landing.ID,
		"EXPIRES", now.UTC().AddDate(0, 0, 90).Format(time.DateOnly),
	).Replace(s.policy))
}

// policyHead is what every policy of a story begins with.
const policyHead = `version: 1

limits:
  timeLimit: 15m
  totalBytes: 256MiB
  activePerVM: 2
  startsPerHour: 60

scope:
  subscriptions: [SUBSCRIPTION]
  resourceGroups: [GROUP]
  requireTag: {pcapwarden: allowed}
  denyTag: {pcapwarden: never}

landing:
  - region: REGION
    storageAccountId: LANDING

alerts: {reread: required}

`
