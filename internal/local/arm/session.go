package arm

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
)

// A session is a packet capture. The exported fields are what is kept in the
// state file.
type session struct {
	ID         string
	Watcher    string // ARM ID
	Region     string
	Properties armnetwork.PacketCaptureResultProperties
	Status     armnetwork.PcStatus
	Reason     string
	Errors     []string
	Created    time.Time
	Started    time.Time
	Bytes      int64

	account, blob string
	parts         map[string]*part // by the agent's session ID: not yet ended
	lost          bool             // a machine went away
	ready         chan struct{}    // closed when starting is over, well or not
}

// A part is the capture on one machine.
type part struct {
	session Session
	lost    bool // its machine went away
}

func (sess *session) state() armnetwork.ProvisioningState {
	return deref(sess.Properties.ProvisioningState)
}

func (sess *session) setState(p armnetwork.ProvisioningState) {
	sess.Properties.ProvisioningState = &p
}

// start has the agent capture on the session's machines.
func (s *Server) start(sess *session, failure string) error {
	defer close(sess.ready)
	s.mu.Lock()
	parts := slices.Collect(maps.Values(sess.parts))
	s.mu.Unlock()
	if failure != "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(sess.parts)
		return s.failed(sess, failure)
	}
	var problems []string
	for _, p := range parts {
		ctx, cancel := context.WithTimeout(context.Background(), s.options.StartTimeout)
		err := s.agent.Start(ctx, p.session)
		cancel()
		if err != nil {
			problems = append(problems, err.Error())
			s.mu.Lock()
			delete(sess.parts, p.session.ID)
			s.mu.Unlock()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sess.Errors = append(sess.Errors, problems...)
	if len(problems) == len(parts) {
		return s.failed(sess, "An error occurred.")
	}
	sess.Started = time.Now().UTC()
	if sess.state() == armnetwork.ProvisioningStateUpdating {
		sess.setState(armnetwork.ProvisioningStateSucceeded)
	}
	sess.Status = armnetwork.PcStatusRunning
	s.finish(sess)
	return nil
}

// failed is the end of a session that never began.
func (s *Server) failed(sess *session, message string) error {
	sess.setState(armnetwork.ProvisioningStateFailed)
	sess.Status = armnetwork.PcStatusError
	if len(sess.Errors) == 0 {
		sess.Errors = []string{message}
	}
	s.save()
	return errors.New(message)
}

// ended is an agent's Done.
func (s *Server) ended(sess *session, id string, o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := sess.parts[id]
	if p == nil {
		return // told twice
	}
	delete(sess.parts, id)
	sess.Bytes += o.Bytes
	sess.Errors = append(sess.Errors, o.Errors...)
	if !p.lost {
		sess.Reason = o.StopReason
	}
	s.finish(sess)
}

// finish ends a session when its last part has ended.
func (s *Server) finish(sess *session) {
	if len(sess.parts) > 0 || sess.Status != armnetwork.PcStatusRunning {
		return
	}
	sess.Status = armnetwork.PcStatusStopped
	if sess.Bytes == 0 && len(sess.Errors) > 0 && !sess.lost {
		sess.Status = armnetwork.PcStatusError
	}
	s.touch(sess.Watcher)
	s.save()
}

// loseParts marks the captures whose machine is gone or stopped, and returns
// the agent's session IDs. Azure's words for it are the first of problem's.
func (s *Server) loseParts() []string {
	var ids []string
	for _, sess := range s.sessions {
		for id, p := range sess.parts {
			if p.lost || s.runs(p.session.Target) {
				continue
			}
			p.lost, sess.lost = true, true
			sess.Errors = append(sess.Errors, problem(p.session.Target, false, "", "", ""))
			ids = append(ids, id)
		}
	}
	return ids
}

func (s *Server) runs(target string) bool {
	if vm := s.world.vm(target); vm != nil {
		return running(vm.Power)
	}
	set, number, ok := strings.Cut(target, "/virtualMachines/")
	if !ok {
		return false
	}
	if in := s.world.scaleSet(set); in != nil {
		if i := in.instance(number); i != nil {
			return running(i.Power)
		}
	}
	return false
}

func (s *Server) runningParts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, sess := range s.sessions {
		ids = slices.AppendSeq(ids, maps.Keys(sess.parts))
	}
	return ids
}

// stop has the agent complete the session's files.
func (s *Server) stop(sess *session) error {
	<-sess.ready
	s.mu.Lock()
	ids := slices.Collect(maps.Keys(sess.parts))
	s.mu.Unlock()
	var errs []error
	for _, id := range ids {
		errs = append(errs, s.agent.Stop(id))
	}
	return errors.Join(errs...)
}

func (s *Server) stopCapture(r *request) *answer {
	sess, miss := s.sessionAt(r)
	if miss != nil {
		return miss
	}
	s.touch(sess.Watcher)
	op := s.begin(r, sess.Region, func() error {
		if f := r.fault.FailOperation; f != "" {
			return errors.New(f)
		}
		return s.stop(sess)
	})
	op.result = func() *answer { return &answer{status: http.StatusOK, body: null} }
	op.properties = true
	return &answer{status: http.StatusAccepted, header: s.headers(r, op, true, true)}
}

// deleteCapture stops a session that runs, and removes it: never its file.
func (s *Server) deleteCapture(r *request) *answer {
	sess, miss := s.sessionAt(r)
	if miss != nil {
		if s.world.watcher(r.id(1)) == nil {
			return miss
		}
		return &answer{status: http.StatusNoContent}
	}
	sess.setState(armnetwork.ProvisioningStateDeleting)
	s.touch(sess.Watcher)
	op := s.begin(r, sess.Region, func() error {
		<-sess.ready
		var err error
		if f := r.fault.FailOperation; f != "" {
			err = errors.New(f)
		} else {
			err = s.stop(sess)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			sess.setState(armnetwork.ProvisioningStateSucceeded)
			if sess.Status == armnetwork.PcStatusError {
				sess.setState(armnetwork.ProvisioningStateFailed)
			}
			return err
		}
		delete(s.sessions, strings.ToLower(sess.ID))
		s.touch(sess.Watcher)
		s.save()
		return nil
	})
	op.result = func() *answer { return &answer{status: http.StatusNoContent} }
	return &answer{status: http.StatusAccepted, header: s.headers(r, op, true, true)}
}

// queryCapture answers with the whole status, even where it says that the
// answer is still being worked on: Azure does the same for a session that
// runs.
func (s *Server) queryCapture(r *request) *answer {
	sess, miss := s.sessionAt(r)
	if miss != nil {
		return miss
	}
	doc := sess.status()
	if sess.Status != armnetwork.PcStatusRunning && sess.Status != armnetwork.PcStatusNotStarted {
		return &answer{status: http.StatusOK, body: doc}
	}
	op := s.begin(r, sess.Region, func() error { return nil })
	op.result = func() *answer { return &answer{status: http.StatusOK, body: doc} }
	return &answer{status: http.StatusAccepted, header: s.headers(r, op, false, true), body: doc}
}

func (sess *session) status() json.RawMessage {
	doc := struct {
		Name    string              `json:"name"`
		ID      string              `json:"id"`
		Started time.Time           `json:"captureStartTime,omitzero"`
		Status  armnetwork.PcStatus `json:"packetCaptureStatus"`
		Reason  string              `json:"stopReason,omitempty"`
		Errors  []string            `json:"packetCaptureError"`
	}{lastName(sess.ID), sess.ID, sess.Started, sess.Status, sess.Reason, sess.Errors}
	if doc.Errors == nil {
		doc.Errors = []string{}
	}
	b, _ := json.Marshal(doc)
	return b
}
