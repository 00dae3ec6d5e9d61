package arm

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// read reads a resource of a provider from which we want so little that its SDK
// is not worth carrying. The action is the one that it takes; the ID was parsed.
func (w *Watcher) read(ctx context.Context, action, id, version string, into any) error {
	client, err := azarm.NewClient("pcapwarden", "v1.0.0", w.cred, &w.options)
	if err != nil {
		return fmt.Errorf("set up the client: %w", err)
	}
	req, err := runtime.NewRequest(ctx, http.MethodGet, runtime.JoinPaths(client.Endpoint(), id))
	if err != nil {
		return err
	}
	query := req.Raw().URL.Query()
	query.Set("api-version", version)
	req.Raw().URL.RawQuery = query.Encode()
	req.Raw().Header.Set("Accept", "application/json")
	resp, err := client.Pipeline().Do(req)
	if err != nil {
		return classify(action, err)
	}
	if !runtime.HasStatusCode(resp, http.StatusOK) {
		return classify(action, runtime.NewResponseError(resp))
	}
	body, err := runtime.Payload(resp)
	if err != nil {
		return unanswered(action, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: the answer can't be read: %w", action, err)
	}
	return nil
}
