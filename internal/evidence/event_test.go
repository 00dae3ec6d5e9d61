package evidence

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

var landing = map[string]resourceid.ID{
	"westeurope": resourceid.MustParse("/subscriptions/aaaa0a0a-bb1b-cc2c-dd3d-eeeeee4e4e4e/resourceGroups/evidence/providers/Microsoft.Storage/storageAccounts/landingwe"),
}

const blob = "subscriptions/aaaa0a0a-bb1b-cc2c-dd3d-eeeeee4e4e4e/resourcegroups/app/providers/microsoft.compute/virtualmachines/web01/2026/03/17/packetcapture_02_10_00_077.cap"

// event is a genuine event with some of its members changed.
func event(change map[string]any) map[string]any {
	e := map[string]any{
		"id": "831e1650-001e-001b-66ab-eeb76e069631", "eventType": "Microsoft.Storage.BlobCreated",
		"topic":     "/subscriptions/aaaa0a0a-bb1b-cc2c-dd3d-eeeeee4e4e4e/resourceGroups/Evidence/providers/Microsoft.Storage/storageAccounts/landingwe",
		"subject":   "/blobServices/default/containers/network-watcher-logs/blobs/" + blob,
		"eventTime": "2026-03-17T02:15:12.0000000Z", "dataVersion": "", "metadataVersion": "1",
	}
	data := map[string]any{
		"api": "PutBlockList", "eTag": `"0x8D4BCC2E4835CD0"`, "contentLength": 4096, "blobType": "BlockBlob",
		"url": "https://landingwe.blob.core.windows.net/network-watcher-logs/" + blob, "sequencer": "0001",
	}
	e["data"] = data
	for k, v := range change {
		if inner, ok := strings.CutPrefix(k, "data."); ok {
			data[inner] = v
		} else {
			e[k] = v
		}
	}
	return e
}

func TestParseEvents(t *testing.T) {
	tests := []struct {
		name    string
		change  map[string]any
		n       int
		refused bool
		foreign bool
	}{
		{name: "genuine", n: 1},
		{name: "only begun", change: map[string]any{"data.api": "CreateFile"}},
		{name: "deleted", change: map[string]any{"eventType": "Microsoft.Storage.BlobDeleted"}, refused: true},
		{name: "CloudEvents schema", change: map[string]any{"specversion": "1.0"}, refused: true},
		{name: "foreign account", change: map[string]any{"topic": "/subscriptions/aaaa0a0a-bb1b-cc2c-dd3d-eeeeee4e4e4e/resourceGroups/x/providers/Microsoft.Storage/storageAccounts/evil"}, refused: true, foreign: true},
		{name: "topic is no account", change: map[string]any{"topic": "/subscriptions/../x"}, refused: true, foreign: true},
		{name: "other container", change: map[string]any{"subject": "/blobServices/default/containers/vault/blobs/" + blob}, refused: true, foreign: true},
		{name: "no name", change: map[string]any{"subject": "/blobServices/default/containers/network-watcher-logs/blobs/"}, refused: true, foreign: true},
		{name: "name that climbs", change: map[string]any{
			"subject":  "/blobServices/default/containers/network-watcher-logs/blobs/" + blob + "/../../x.cap",
			"data.url": "https://landingwe.blob.core.windows.net/network-watcher-logs/" + blob + "/../../x.cap",
		}, refused: true, foreign: true},
		{name: "metadata service", change: map[string]any{"data.url": "http://169.254.169.254/network-watcher-logs/" + blob}, refused: true, foreign: true},
		{name: "file URL", change: map[string]any{"data.url": "file:///etc/passwd"}, refused: true, foreign: true},
		{name: "userinfo", change: map[string]any{"data.url": "https://landingwe.blob.core.windows.net@evil.example/network-watcher-logs/" + blob}, refused: true, foreign: true},
		{name: "port", change: map[string]any{"data.url": "https://landingwe.blob.core.windows.net:8443/network-watcher-logs/" + blob}, refused: true, foreign: true},
		{name: "SAS", change: map[string]any{"data.url": "https://landingwe.blob.core.windows.net/network-watcher-logs/" + blob + "?sig=x"}, refused: true, foreign: true},
		{name: "URL of another blob", change: map[string]any{"data.url": "https://landingwe.blob.core.windows.net/network-watcher-logs/other.cap"}, refused: true, foreign: true},
		{name: "prefix of the account's name", change: map[string]any{"data.url": "https://landingwe2.blob.core.windows.net/network-watcher-logs/" + blob}, refused: true, foreign: true},
		{name: "host that begins like the account's", change: map[string]any{"data.url": "https://landingwe.blob.evil.example/network-watcher-logs/" + blob}, refused: true, foreign: true},
		{name: "host that goes on", change: map[string]any{"data.url": "https://landingwe.blob.core.windows.net.evil.example/network-watcher-logs/" + blob}, refused: true, foreign: true},
		{name: "empty query", change: map[string]any{"data.url": "https://landingwe.blob.core.windows.net/network-watcher-logs/" + blob + "?"}, refused: true, foreign: true},
		{name: "no URL", change: map[string]any{"data.url": ""}, refused: true, foreign: true},
		{name: "data of another type", change: map[string]any{"data": "x"}, refused: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body, err := json.Marshal(event(tt.change))
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range [][]byte{body, []byte("[" + string(body) + "]")} {
				got, err := ParseEvents(b, landing)
				e, ok := errors.AsType[*EventError](err)
				if ok != tt.refused || tt.refused && e.Foreign != tt.foreign {
					t.Fatalf("error = %v, want refused = %v, foreign = %v", err, tt.refused, tt.foreign)
				}
				if len(got) != tt.n {
					t.Fatalf("%d events, want %d", len(got), tt.n)
				}
				if tt.n == 1 {
					if want := "https://landingwe.blob.core.windows.net/network-watcher-logs/" + blob; got[0].URL() != want || got[0].ETag != "0x8D4BCC2E4835CD0" {
						t.Errorf("URL = %s, want %s; ETag = %s", got[0].URL(), want, got[0].ETag)
					}
				}
			}
		})
	}
}

// TestOtherClouds reads events of accounts that are not at windows.net: the
// file's URL is what its session's storage path says.
func TestOtherClouds(t *testing.T) {
	for _, host := range []string{"landingwe.blob.core.usgovcloudapi.net", "landingwe.blob.core.chinacloudapi.cn", "landingwe.z07.blob.storage.azure.net"} {
		path := "https://" + host + "/network-watcher-logs/" + blob
		body, err := json.Marshal(event(map[string]any{"data.url": path}))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseEvents(body, landing)
		if err != nil || len(got) != 1 || got[0].URL() != path {
			t.Errorf("%s: %v, %v", host, got, err)
		}
		at, ok := At(path, landing)
		if !ok || at.URL() != path {
			t.Errorf("%s: at %+v, %v", host, at, ok)
		}
		raised, err := at.Event()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseEvents(raised, landing); err != nil || len(again) != 1 || again[0].URL() != path {
			t.Errorf("%s: the event that is raised again is read as %v, %v", host, again, err)
		}
	}
}

func FuzzParseEvents(f *testing.F) {
	for _, change := range []map[string]any{nil, {"data.url": "file:///x"}, {"specversion": "1.0"}} {
		body, err := json.Marshal(event(change))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`[]`))
	f.Add([]byte(`[[]]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		all, err := ParseEvents(body, landing)
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("an error of %d bytes quotes too much", len(err.Error()))
		}
		for _, l := range all {
			if host, ok := ofAccount(l.Host, "landingwe"); !ok || !strings.HasPrefix(l.URL(), "https://"+host+"/network-watcher-logs/") {
				t.Errorf("URL %q leaves the landing container", l.URL())
			}
		}
	})
}
