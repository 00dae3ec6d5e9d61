package capture_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/azure/blob"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/test/azurite"
)

// stores are what records may be kept in: a folder, and the Blob service.
var stores = []struct {
	name string
	open func(testing.TB) ledger.Store
}{{"folder", openFolder}, {"Azurite", openAzurite}}

func openFolder(t testing.TB) ledger.Store {
	t.Helper()
	store, err := folder.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// openAzurite opens a container that no other test has.
func openAzurite(t testing.TB) ledger.Store {
	t.Helper()
	if testing.Short() {
		t.Skip("the folder keeps the same promises")
	}
	c, err := blob.Open(azurite.Start(t).NewSetting(), nil, blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c.Ledger()
}

// onStores runs a row of the fault matrix on each of the stores.
func onStores(t *testing.T, row func(*testing.T, *rig)) {
	t.Helper()
	onStoresIn(t, shop(), row)
}

func onStoresIn(t *testing.T, w local.World, row func(*testing.T, *rig)) {
	t.Helper()
	t.Parallel()
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			row(t, newRigIn(t, w, 100, s.open(t)))
		})
	}
}
