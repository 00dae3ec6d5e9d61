package arm

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
)

// missing is how the network provider misses something.
func missing(id string) *answer {
	return fail(http.StatusNotFound, "NotFound", "Resource %s not found.", id)
}

func (s *Server) listWatchers(r *request) *answer {
	prefix := "/subscriptions/" + r.subscription + "/"
	if r.group != "" {
		prefix += "resourceGroups/" + r.group + "/"
	}
	value := []json.RawMessage{}
	for i := range s.world.Watchers {
		n := &s.world.Watchers[i]
		if strings.HasPrefix(strings.ToLower(n.ID), strings.ToLower(prefix)) {
			value = append(value, s.watcherModel(n))
		}
	}
	return &answer{status: http.StatusOK, body: map[string]any{"value": value}}
}

func (s *Server) readWatcher(r *request) *answer {
	n := s.world.watcher(r.id(1))
	if n == nil {
		return missing(r.id(1))
	}
	return &answer{status: http.StatusOK, body: s.watcherModel(n)}
}

func (s *Server) watcherModel(n *NetworkWatcher) json.RawMessage {
	doc, _ := json.Marshal(map[string]any{
		"name": lastName(n.ID), "id": n.ID, "etag": s.etag(n.ID), "type": "Microsoft.Network/networkWatchers", "location": n.Region,
		"properties": map[string]any{"provisioningState": "Succeeded", "runningOperationIds": []string{}},
	})
	return doc
}

// etag is the watcher's, which all its captures share: useless as a version
// of one of them.
func (s *Server) etag(watcher string) string {
	key := strings.ToLower(watcher)
	if s.etags[key] == "" {
		s.touch(watcher)
	}
	return s.etags[key]
}

// touch changes the etag of a watcher: every operation on a capture does.
func (s *Server) touch(watcher string) {
	s.etags[strings.ToLower(watcher)] = fmt.Sprintf("W/%q", newID())
}

// newID returns a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// sessionAt returns the session that a request is about, or what to answer.
func (s *Server) sessionAt(r *request) (*session, *answer) {
	if s.world.watcher(r.id(1)) == nil {
		return nil, missing(r.id(1))
	}
	sess := s.sessions[strings.ToLower(r.id(2))]
	if sess == nil {
		return nil, missing(r.id(2))
	}
	return sess, nil
}

func (s *Server) readCapture(r *request) *answer {
	sess, miss := s.sessionAt(r)
	if miss != nil {
		return miss
	}
	return &answer{status: http.StatusOK, body: s.captureModel(sess)}
}

func (s *Server) listCaptures(r *request) *answer {
	watcher := r.id(1)
	if s.world.watcher(watcher) == nil {
		return missing(watcher)
	}
	value := []json.RawMessage{}
	for _, key := range slices.Sorted(maps.Keys(s.sessions)) {
		if sess := s.sessions[key]; strings.EqualFold(sess.Watcher, watcher) {
			value = append(value, s.captureModel(sess))
		}
	}
	return &answer{status: http.StatusOK, body: map[string]any{"value": value}}
}

// captureModel describes a session with the SDK's model, and the type that
// the model leaves out.
func (s *Server) captureModel(sess *session) json.RawMessage {
	doc, _ := json.Marshal(struct {
		Name       string                                   `json:"name"`
		ID         string                                   `json:"id"`
		Etag       string                                   `json:"etag"`
		Properties armnetwork.PacketCaptureResultProperties `json:"properties"`
		Type       string                                   `json:"type"`
	}{lastName(sess.ID), sess.ID, s.etag(sess.Watcher), sess.Properties, "Microsoft.Network/networkWatchers/packetCaptures"})
	return doc
}
