package arm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
)

// saved is the state file.
type saved struct {
	Sessions []*session
}

// load reads the sessions of an earlier run. Their agents died with it: what
// ran has stopped, what was being deleted is gone.
func (s *Server) load() error {
	if s.options.StateFile == "" {
		return nil
	}
	doc, err := os.ReadFile(s.options.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the local ARM's sessions: %w", err)
	}
	var state saved
	if err := json.Unmarshal(doc, &state); err != nil {
		return fmt.Errorf("read the local ARM's sessions from %q: %w: delete the file to start afresh", s.options.StateFile, err)
	}
	for _, sess := range state.Sessions {
		if !sess.whole() {
			return fmt.Errorf("read the local ARM's sessions from %q: one is damaged: delete the file to start afresh", s.options.StateFile)
		}
		sess.ready = make(chan struct{})
		close(sess.ready)
		switch sess.state() {
		case armnetwork.ProvisioningStateDeleting:
			continue
		case armnetwork.ProvisioningStateUpdating:
			sess.setState(armnetwork.ProvisioningStateFailed)
		}
		if sess.Status == armnetwork.PcStatusRunning || sess.Status == armnetwork.PcStatusNotStarted {
			sess.Status = armnetwork.PcStatusStopped
			sess.Errors = append(sess.Errors, string(armnetwork.PcErrorAgentStopped))
		}
		s.sessions[strings.ToLower(sess.ID)] = sess
	}
	return nil
}

// whole reports whether a session has what the rest of the package takes for
// granted.
func (sess *session) whole() bool {
	if sess == nil || sess.Properties.StorageLocation == nil {
		return false
	}
	p, err := parsePath(sess.ID)
	return err == nil && p.group != "" && p.kind() == "microsoft.network/networkwatchers/*/packetcaptures/*"
}

// save writes the sessions to the state file: into another first, so that a
// crash leaves the old one. It is called with the lock held.
func (s *Server) save() {
	if s.options.StateFile == "" {
		return
	}
	var state saved
	for _, key := range slices.Sorted(maps.Keys(s.sessions)) {
		state.Sessions = append(state.Sessions, s.sessions[key])
	}
	doc, err := json.MarshalIndent(state, "", "  ")
	if err == nil {
		err = os.WriteFile(s.options.StateFile+".new", doc, 0o600)
	}
	if err == nil {
		err = os.Rename(s.options.StateFile+".new", s.options.StateFile)
	}
	if err != nil {
		s.log.Error("save the local ARM's sessions", "err", err)
	}
}
