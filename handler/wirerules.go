package main

import (
	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
)

// rules is who says what the network's rules are; nil: nobody is asked. The
// app's identity needs arm.ContextActions for it, and no right on captures.
func (s *services) rules() (controlplane.Source, error) {
	if !s.cfg.Context {
		return nil, nil
	}
	watcher, err := arm.NewWatcher(s.cred, arm.Options{Endpoint: s.cfg.ARMEndpoint, ApplicationID: "pcapwarden"})
	if err != nil {
		return nil, err
	}
	return arm.NewReader(watcher), nil
}
