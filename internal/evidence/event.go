package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// Container is the container that Network Watcher writes captures to.
// https://learn.microsoft.com/azure/network-watcher/packet-capture-overview
const Container = "network-watcher-logs"

// blobHost is what follows the account's name in the host of a blob's URL, in
// every Azure cloud and in DNS zones.
// https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-endpoints
var blobHost = regexp.MustCompile(
	`^(\.blob\.core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)|\.z[0-9]{1,2}\.blob\.storage\.azure\.net)$`)

// maxEvents is how many events one message may hold. Event Grid puts one into
// a Service Bus message; an array is read because its webhooks send one.
const maxEvents = 100

// A Landed is a file that Azure says was written to a landing account.
type Landed struct {
	EventID   string
	Account   resourceid.ID // of the storage account, as the policy has it
	Host      string        // of the account's blob service, lower case
	Name      string        // of the blob, inside [Container]
	ETag      string        // without quotes
	Bytes     int64
	Sequencer string // orders the events of one blob
	At        time.Time
}

// URL is where the file is. It names the file in records; nobody fetches it.
func (l Landed) URL() string { return "https://" + l.Host + "/" + Container + "/" + l.Name }

// ofAccount returns the host of a URL as Azure would write it, if it is the
// account's.
func ofAccount(host, account string) (string, bool) {
	host = strings.ToLower(host)
	rest, ok := strings.CutPrefix(host, strings.ToLower(account))
	return host, ok && blobHost.MatchString(rest)
}

// EventError says why an event is not believed. Trying again does not help.
type EventError struct {
	Foreign bool // it is about a place that is none of ours: somebody should look
	Message string
}

func (e *EventError) Error() string { return "blob event: " + e.Message }

// ErrNotACapture is about an event that is genuine and of no interest, such as
// a blob that is only begun.
var ErrNotACapture = &EventError{Message: "not about a file that is complete"}

// gridEvent is the Event Grid schema, as far as it is used.
// https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage
type gridEvent struct {
	ID        string    `json:"id"`
	Topic     string    `json:"topic"`
	Subject   string    `json:"subject"`
	EventType string    `json:"eventType"`
	EventTime time.Time `json:"eventTime"`
	Data      struct {
		API           string `json:"api"`
		ETag          string `json:"eTag"`
		ContentLength int64  `json:"contentLength"`
		BlobType      string `json:"blobType"`
		URL           string `json:"url"`
		Sequencer     string `json:"sequencer"`
	} `json:"data"`
	SpecVersion string `json:"specversion,omitempty"`
}

// ParseEvents reads the BlobCreated events of a message. Only files in the
// container of a landing account of the policy are believed, and only where
// the event's topic, subject and URL say the same. Events of no interest are
// left out.
func ParseEvents(body []byte, landing map[string]resourceid.ID) ([]Landed, error) {
	var raw []json.RawMessage
	if body = bytes.TrimSpace(body); len(body) > 0 && body[0] != '[' {
		raw = []json.RawMessage{body}
	} else if err := json.Unmarshal(body, &raw); err != nil {
		return nil, &EventError{Message: "not JSON"}
	}
	if len(raw) > maxEvents {
		return nil, &EventError{Message: fmt.Sprintf("%d events in one message, at most %d are read", len(raw), maxEvents)}
	}
	var all []Landed
	for _, r := range raw {
		l, err := parseEvent(r, landing)
		if err == ErrNotACapture {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func parseEvent(raw []byte, landing map[string]resourceid.ID) (Landed, error) {
	var e gridEvent
	if err := json.Unmarshal(raw, &e); err != nil {
		return Landed{}, &EventError{Message: "not an event in the Event Grid schema"}
	}
	switch {
	case e.SpecVersion != "":
		return Landed{}, &EventError{Message: "in the CloudEvents schema; let the event subscription use the Event Grid schema"}
	case e.EventType != "Microsoft.Storage.BlobCreated":
		return Landed{}, &EventError{Message: fmt.Sprintf("of type %s; let the event subscription filter on Microsoft.Storage.BlobCreated", quote(e.EventType))}
	}
	topic, err := resourceid.Parse(e.Topic)
	if err != nil || !topic.Is("Microsoft.Storage/storageAccounts") {
		return Landed{}, &EventError{Foreign: true, Message: "its topic is no storage account"}
	}
	var account resourceid.ID
	for _, id := range landing {
		if id.Equal(topic) {
			account = id
		}
	}
	if account.IsZero() {
		return Landed{}, &EventError{Foreign: true, Message: fmt.Sprintf("storage account %s is not a landing account of the policy", quote(topic.Name()))}
	}
	name, ok := strings.CutPrefix(e.Subject, "/blobServices/default/containers/"+Container+"/blobs/")
	if !ok || name == "" {
		return Landed{}, &EventError{Foreign: true, Message: "its subject is not in the container " + Container}
	}
	if CheckName(name) != nil {
		return Landed{}, &EventError{Foreign: true, Message: fmt.Sprintf("its file is called %s, which leads elsewhere on the way", quote(name))}
	}
	host, ok := agree(e.Data.URL, account.Name(), name)
	if !ok {
		return Landed{}, &EventError{Foreign: true, Message: "its URL leads elsewhere than its topic and subject"}
	}
	switch e.Data.API {
	case "PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose":
	default: // CreateFile announces an empty file, others are not documented
		return Landed{}, ErrNotACapture
	}
	return Landed{
		EventID: e.ID, Account: account, Host: host, Name: name, ETag: strings.Trim(e.Data.ETag, `"`),
		Bytes: e.Data.ContentLength, Sequencer: e.Data.Sequencer, At: e.EventTime,
	}, nil
}

// agree reports whether an event's URL leads where its topic and subject do,
// and on which host. One that disagrees was not written by Azure.
func agree(raw, account, name string) (host string, ok bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Path != "/"+Container+"/"+name {
		return "", false
	}
	return ofAccount(u.Host, account) // a port is no part of it
}

// quote makes foreign text printable and short.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:80]
	}
	return fmt.Sprintf("%+q", s)
}

// At returns what is known of the file at a session's storage path; false if
// the path is in no landing container of the policy, or names a folder.
func At(storagePath string, landing map[string]resourceid.ID) (Landed, bool) {
	u, err := url.Parse(storagePath)
	if err != nil || u.Scheme != "https" {
		return Landed{}, false
	}
	name, ok := strings.CutPrefix(u.Path, "/"+Container+"/")
	if !ok || !strings.HasSuffix(strings.ToLower(name), ".cap") {
		return Landed{}, false
	}
	for _, id := range landing {
		if host, ok := ofAccount(u.Host, id.Name()); ok {
			return Landed{Account: id, Host: host, Name: name}, true
		}
	}
	return Landed{}, false
}

// Event returns the event that Event Grid would have sent.
func (l Landed) Event() ([]byte, error) {
	e := gridEvent{
		ID: "recovered-" + l.ETag, Topic: l.Account.String(), EventType: "Microsoft.Storage.BlobCreated", EventTime: l.At.UTC(),
		Subject: "/blobServices/default/containers/" + Container + "/blobs/" + l.Name,
	}
	e.Data.API, e.Data.ETag, e.Data.ContentLength, e.Data.URL = "PutBlockList", l.ETag, l.Bytes, l.URL()
	return json.Marshal(e)
}
