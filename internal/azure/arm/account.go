package arm

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

const typeStorage = "microsoft.storage/storageaccounts"

// storageVersion is the API version of the one request to the storage
// provider: not enough to carry its SDK.
const storageVersion = "2025-06-01"

// accountsExpire is how long what is known of an account is believed: an
// alert that hits 300 machines looks its landing account up once.
const accountsExpire = 2 * time.Minute

// accounts remembers storage accounts, by ID in lower case.
type accounts struct {
	mu    sync.Mutex
	known map[string]knownAccount
}

type knownAccount struct {
	account capture.Account
	read    time.Time
}

// Account describes a storage account, as it was within the last minutes:
// capture.ErrNotFound.
func (w *Watcher) Account(ctx context.Context, id string) (capture.Account, error) {
	parsed, err := parseID(id)
	if err != nil || typeOf(parsed) != typeStorage {
		return capture.Account{}, refuse(ReadStorage, "look a storage account up: %.300q is not the ID of one", id)
	}
	key := strings.ToLower(id)
	w.accounts.mu.Lock()
	known, ok := w.accounts.known[key]
	w.accounts.mu.Unlock()
	if ok && time.Since(known.read) < accountsExpire {
		return known.account, nil
	}
	account, err := w.readAccount(ctx, parsed)
	if err != nil {
		return capture.Account{}, fmt.Errorf("look storage account %s up: %w", parsed.Name, err)
	}
	w.accounts.mu.Lock()
	defer w.accounts.mu.Unlock()
	if w.accounts.known == nil {
		w.accounts.known = map[string]knownAccount{}
	}
	w.accounts.known[key] = knownAccount{account, time.Now()}
	return account, nil
}

func (w *Watcher) readAccount(ctx context.Context, id *azarm.ResourceID) (capture.Account, error) {
	var doc struct {
		Location string `json:"location"`
		Kind     string `json:"kind"`
		SKU      struct {
			Name string `json:"name"`
		} `json:"sku"`
		Properties struct {
			SharedKey *bool `json:"allowSharedKeyAccess"` // absent means allowed
		} `json:"properties"`
	}
	if err := w.read(ctx, ReadStorage, id.String(), storageVersion, &doc); err != nil {
		return capture.Account{}, err
	}
	return capture.Account{
		Region:    normalRegion(doc.Location),
		Premium:   strings.HasPrefix(strings.ToLower(doc.SKU.Name), "premium"),
		SharedKey: doc.Properties.SharedKey == nil || *doc.Properties.SharedKey,
	}, nil
}
