package arm

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// maxSessions is how many captures a watcher holds.
// https://learn.microsoft.com/azure/network-watcher/packet-capture-overview
const maxSessions = 10000

// sessionName is narrower than what Azure takes, which nobody has written
// down.
var sessionName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,80}$`)

// createCapture accepts a session and starts it after the answer. Which codes
// Azure has for the mistakes it finds here is not known: these are ARM's
// usual ones.
func (s *Server) createCapture(r *request) *answer {
	watcher := s.world.watcher(r.id(1))
	if watcher == nil {
		return missing(r.id(1))
	}
	bad := func(format string, args ...any) *answer {
		return fail(http.StatusBadRequest, "InvalidRequestFormat", format, args...)
	}
	if !sessionName.MatchString(r.name(1)) {
		return fail(http.StatusBadRequest, "InvalidResourceName", "The resource name '%s' is invalid.", r.name(1))
	}
	var asked armnetwork.PacketCapture
	if err := json.Unmarshal(r.body, &asked); err != nil {
		return fail(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid and could not be deserialized.")
	}
	if asked.Properties == nil {
		return bad("The property 'properties' is required.")
	}
	sess := &session{
		ID: r.id(2), Watcher: watcher.ID, Region: region(watcher.Region), Status: armnetwork.PcStatusNotStarted,
		Created: s.created(), parts: map[string]*part{}, ready: make(chan struct{}),
	}
	machines, a := s.normalise(sess, asked.Properties, bad)
	if a != nil {
		return a
	}
	if old := s.sessions[strings.ToLower(sess.ID)]; old != nil {
		switch {
		case deref(old.Properties.ProvisioningState) == armnetwork.ProvisioningStateDeleting:
			return fail(http.StatusConflict, "AnotherOperationInProgress", "Another operation on %s is in progress.", old.ID)
		case same(old, sess):
			return &answer{status: http.StatusOK, body: s.captureModel(old)}
		}
		return fail(http.StatusConflict, "Conflict", "The packet capture %s exists already and can not be updated.", old.ID)
	}
	n := 0
	for _, other := range s.sessions {
		if other.Watcher == sess.Watcher {
			n++
		}
	}
	if n >= maxSessions {
		return bad("The limit of %d packet captures per region is reached.", maxSessions)
	}
	s.plan(sess, machines)
	s.sessions[strings.ToLower(sess.ID)] = sess
	s.touch(watcher.ID)
	s.save()
	op := s.begin(r, sess.Region, func() error { return s.start(sess, r.fault.FailOperation) })
	op.result = func() *answer { return &answer{status: http.StatusOK, body: s.captureModel(sess)} }
	return &answer{status: http.StatusCreated, header: s.headers(r, op, true, false), body: s.captureModel(sess)}
}

// created is the time that names a session's file: no two sessions have the
// same.
func (s *Server) created() time.Time {
	t := time.Now().UTC().Truncate(time.Millisecond)
	if !t.After(s.last) {
		t = s.last.Add(time.Millisecond)
	}
	s.last = t
	return t
}

// plan fixes what the agent will be asked for each machine. How Azure names
// the files of several instances is not documented: here they are named after
// the instance.
func (s *Server) plan(sess *session, machines []machine) {
	p := sess.Properties
	for _, m := range machines {
		id, blob, link := strings.ToLower(sess.ID), sess.blob, deref(p.StorageLocation.StoragePath)
		if m.instance != "" {
			id += "#" + m.instance
			if len(machines) > 1 && blob != "" {
				blob, link = blob+"/"+m.instance+".cap", link+"/"+m.instance+".cap"
			}
		}
		if m.problem != "" {
			sess.Errors = append(sess.Errors, m.problem)
			continue
		}
		started := Session{
			ID: id, Name: lastName(sess.ID), Target: m.id, Addresses: slices.Clone(m.addresses),
			TimeLimit:  time.Duration(*p.TimeLimitInSeconds) * time.Second,
			TotalBytes: *p.TotalBytesPerSession, BytesPerPacket: *p.BytesToCapturePerPacket,
			StorageAccount: sess.account, BlobName: blob, URL: link, Started: sess.Created,
		}
		for _, f := range p.Filters {
			started.Filters = append(started.Filters, capture.Filter{
				Protocol: string(*f.Protocol), LocalIP: *f.LocalIPAddress, LocalPort: *f.LocalPort,
				RemoteIP: *f.RemoteIPAddress, RemotePort: *f.RemotePort,
			})
		}
		started.Done = func(o Outcome) { s.ended(sess, id, o) }
		sess.parts[id] = &part{session: started}
	}
}

// same reports whether two sessions were asked for alike.
func same(a, b *session) bool {
	text := func(s *session) string {
		p := s.Properties
		p.ProvisioningState = nil
		l := *p.StorageLocation
		l.StoragePath = nil
		p.StorageLocation = &l
		doc, _ := json.Marshal(p)
		return strings.ToLower(string(doc))
	}
	return text(a) == text(b)
}
