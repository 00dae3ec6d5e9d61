package blob

import (
	"context"
	"io"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/evidence/evidencetest"
	"github.com/pcapwarden/pcapwarden/internal/ledger/ledgertest"
	"github.com/pcapwarden/pcapwarden/test/azurite"
)

// emulated opens a container in Azurite, and makes it.
func emulated(t *testing.T, setting string, o Options) *Container {
	t.Helper()
	c, err := Open(setting, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLedger(t *testing.T) {
	server := azurite.Start(t)
	ledgertest.Run(t, func(t *testing.T) ledgertest.Place {
		setting := server.NewSetting()
		return ledgertest.Place{
			One:   emulated(t, setting, Options{}).Ledger(),
			Other: emulated(t, setting, Options{PageSize: 100}).Ledger(),
		}
	})
}

func TestFiles(t *testing.T) {
	server := azurite.Start(t)
	evidencetest.Run(t, func(t *testing.T) evidencetest.Place {
		landing := emulated(t, server.NewSetting(), Options{PageSize: 100}).Files()
		return evidencetest.Place{
			Landing: landing,
			Vault:   emulated(t, server.NewSetting(), Options{}).Files(),
			Drop: func(ctx context.Context, name string, content io.Reader) error {
				_, err := landing.Put(ctx, name, content)
				return err
			},
		}
	})
}
