package agent

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEvent(t *testing.T) {
	event, err := Landed{
		Account:   "/subscriptions/1/resourceGroups/evidence/providers/Microsoft.Storage/storageAccounts/landing1",
		Endpoint:  "https://landing1.blob.core.windows.net",
		Container: "network-watcher-logs",
		Name:      "subscriptions/1/my vm/packetcapture_16_39_41_077.cap",
		Size:      1048576,
		ETag:      `"0x8D4BCC2E4835CD0"`,
		Sequence:  0x28963,
		EventID:   "831e1650-001e-001b-66ab-eeb76e069631",
		Time:      time.Date(2026, 1, 31, 21, 40, 12, 345_678_900, time.UTC),
	}.Event()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(event, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"topic":     "/subscriptions/1/resourceGroups/evidence/providers/Microsoft.Storage/storageAccounts/landing1",
		"subject":   "/blobServices/default/containers/network-watcher-logs/blobs/subscriptions/1/my vm/packetcapture_16_39_41_077.cap",
		"eventType": "Microsoft.Storage.BlobCreated",
		"eventTime": "2026-01-31T21:40:12.3456789Z",
		"id":        "831e1650-001e-001b-66ab-eeb76e069631",
		"data": map[string]any{
			"api":                "PutBlockList",
			"clientRequestId":    "831e1650-001e-001b-66ab-eeb76e069631",
			"requestId":          "831e1650-001e-001b-66ab-eeb76e069631",
			"eTag":               `"0x8D4BCC2E4835CD0"`,
			"contentType":        "application/octet-stream",
			"contentLength":      1048576.0,
			"blobType":           "BlockBlob",
			"url":                "https://landing1.blob.core.windows.net/network-watcher-logs/subscriptions/1/my%20vm/packetcapture_16_39_41_077.cap",
			"sequencer":          "00000000000000000000000000028963",
			"storageDiagnostics": map[string]any{"batchId": "831e1650-001e-001b-66ab-eeb76e069631"},
		},
		"dataVersion":     "",
		"metadataVersion": "1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}
