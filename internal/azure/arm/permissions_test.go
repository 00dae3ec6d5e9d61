package arm_test

import (
	"testing"

	local "github.com/pcapwarden/pcapwarden/internal/local/arm"

	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
)

func TestPermissions(t *testing.T) {
	w := world()
	w.Lacks = []string{arm.WriteCaptures, "Microsoft.Storage/*/listKeys/action"}
	_, watcher := serve(t, w, local.Options{})
	for _, scope := range []string{watcherID, storageID, vmID, "/subscriptions/" + subscription, "/subscriptions/" + subscription + "/resourceGroups/Shop-RG"} {
		p, err := watcher.Permissions(t.Context(), scope)
		if err != nil {
			t.Errorf("%s: %v", scope, err)
			continue
		}
		for action, want := range map[string]bool{arm.ReadCaptures: true, arm.WriteCaptures: false, arm.ListStorageKeys: false, arm.ListServiceSAS: true} {
			if got := p.Allow(action); got != want {
				t.Errorf("%s: %s allowed = %v, want %v", scope, action, got, want)
			}
		}
	}
	if _, err := watcher.Permissions(t.Context(), "no scope"); err == nil {
		t.Error("permissions of no scope")
	}
	ids, err := watcher.Watchers(t.Context(), subscription)
	if err != nil || ids["westeurope"] != watcherID {
		t.Errorf("watchers %v, %v", ids, err)
	}
}
