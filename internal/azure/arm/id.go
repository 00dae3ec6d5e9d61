package arm

import (
	"fmt"
	"strings"
	"unicode"

	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
)

// The resource types that this package knows, in lower case.
const (
	typeVM         = "microsoft.compute/virtualmachines"
	typeScaleSet   = "microsoft.compute/virtualmachinescalesets"
	typeScaleSetVM = "microsoft.compute/virtualmachinescalesets/virtualmachines"
	typeInterface  = "microsoft.network/networkinterfaces"
	typeWatcher    = "microsoft.network/networkwatchers"
	typeCapture    = "microsoft.network/networkwatchers/packetcaptures"
)

// parseID reads an ARM ID in any case. It refuses what could make a request
// go somewhere else than its role assignment says: dot segments, and
// characters that no resource name has.
func parseID(id string) (*azarm.ResourceID, error) {
	const maxID = 2048
	if len(id) > maxID {
		return nil, fmt.Errorf("resource ID of %d bytes is longer than %d", len(id), maxID)
	}
	for part := range strings.SplitSeq(id, "/") {
		if part == "." || part == ".." {
			return nil, fmt.Errorf("resource ID %.300q has a dot segment", id)
		}
	}
	if i := strings.IndexFunc(id, func(r rune) bool {
		return r == '%' || r == '?' || r == '#' || r == '\\' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	}); i >= 0 {
		return nil, fmt.Errorf("resource ID %.300q has an impossible character at byte %d", id, i)
	}
	parsed, err := azarm.ParseResourceID(id)
	if err != nil {
		return nil, fmt.Errorf("%.300q is not a resource ID", id)
	}
	if parsed.SubscriptionID == "" || parsed.ResourceGroupName == "" || parsed.Name == "" {
		return nil, fmt.Errorf("%.300q is not the ID of a resource in a resource group", id)
	}
	return parsed, nil
}

// typeOf returns the type of a parsed ID, in lower case.
func typeOf(id *azarm.ResourceID) string { return strings.ToLower(id.ResourceType.String()) }

// normalRegion writes "West Europe" as "westeurope": Azure answers with
// either.
func normalRegion(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, " ", ""))
}
