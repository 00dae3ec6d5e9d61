package agent

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// A Landed is a file that was just committed in a storage account.
type Landed struct {
	Account   string // ARM ID of the storage account
	Endpoint  string // of its blob service, "https://account.blob.core.windows.net"
	Container string
	Name      string
	Size      int64
	ETag      string
	// Sequence orders the events of one file: later ones have a greater one.
	Sequence uint64
	// EventID is a GUID. Event Grid delivers at least once: the same event
	// again has the same one.
	EventID string
	Time    time.Time
}

// Event returns the BlobCreated event that Event Grid makes of it, in the
// Event Grid schema: one event, as a Service Bus queue gets it, not the array
// that a webhook gets.
// https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage
func (l Landed) Event() ([]byte, error) {
	endpoint, err := url.Parse(l.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("describe landed file: %w", err)
	}
	type data struct {
		API                string `json:"api"`
		ClientRequestID    string `json:"clientRequestId"`
		RequestID          string `json:"requestId"`
		ETag               string `json:"eTag"`
		ContentType        string `json:"contentType"`
		ContentLength      int64  `json:"contentLength"`
		BlobType           string `json:"blobType"`
		URL                string `json:"url"`
		Sequencer          string `json:"sequencer"`
		StorageDiagnostics any    `json:"storageDiagnostics"`
	}
	return json.Marshal(struct {
		Topic           string `json:"topic"`
		Subject         string `json:"subject"`
		EventType       string `json:"eventType"`
		EventTime       string `json:"eventTime"`
		ID              string `json:"id"`
		Data            data   `json:"data"`
		DataVersion     string `json:"dataVersion"`
		MetadataVersion string `json:"metadataVersion"`
	}{
		Topic:     l.Account,
		Subject:   "/blobServices/default/containers/" + l.Container + "/blobs/" + l.Name,
		EventType: "Microsoft.Storage.BlobCreated",
		EventTime: l.Time.UTC().Format("2006-01-02T15:04:05.0000000Z"),
		ID:        l.EventID,
		Data: data{
			// The call that Network Watcher's agent makes is documented
			// nowhere; for a file that appears whole it is this one.
			API:                "PutBlockList",
			ClientRequestID:    l.EventID,
			RequestID:          l.EventID,
			ETag:               l.ETag,
			ContentType:        "application/octet-stream",
			ContentLength:      l.Size,
			BlobType:           "BlockBlob",
			URL:                endpoint.JoinPath(l.Container, l.Name).String(),
			Sequencer:          fmt.Sprintf("%032X", l.Sequence),
			StorageDiagnostics: map[string]string{"batchId": l.EventID},
		},
		MetadataVersion: "1",
	})
}
