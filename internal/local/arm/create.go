package arm

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// Azure's limits and defaults of a session.
// https://learn.microsoft.com/azure/network-watcher/packet-capture-overview
const (
	maxSessions       = 10000 // of a watcher
	maxSeconds        = 18000
	maxBytes          = 1<<32 - 1
	defaultTotalBytes = 1 << 30
)

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
	op := s.begin(r, sess, func() error { return s.start(sess, r.fault.FailOperation) })
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

// A machine is what a session captures on: itself, or an instance.
type machine struct {
	id, instance string
	addresses    []string
	problem      string // why nothing can be captured there
}

// normalise checks what was asked for and writes it into the session as Azure
// echoes it: defaults filled in, fields that were left out as empty strings,
// instances as ARM IDs. It returns the machines to capture on.
func (s *Server) normalise(sess *session, p *armnetwork.PacketCaptureParameters, bad func(string, ...any) *answer) ([]machine, *answer) {
	kind := armnetwork.PacketCaptureTargetTypeAzureVM
	if p.TargetType != nil {
		kind = *p.TargetType
	}
	target := deref(p.Target)
	if target == "" {
		return nil, bad("The property 'target' is required.")
	}
	var (
		machines []machine
		where    string
	)
	out := armnetwork.PacketCaptureResultProperties{
		ProvisioningState: new(armnetwork.ProvisioningStateUpdating),
		Target:            &target,
		TargetType:        &kind,
		Scope:             &armnetwork.PacketCaptureMachineScope{Include: []*string{}, Exclude: []*string{}},
		Filters:           []*armnetwork.PacketCaptureFilter{},
	}
	unknown := func() *answer {
		return fail(http.StatusNotFound, "ResourceNotFound", "The Resource '%s' was not found.", target)
	}
	switch kind {
	case armnetwork.PacketCaptureTargetTypeAzureVM:
		vm := s.world.vm(target)
		if vm == nil {
			return nil, unknown()
		}
		where, machines = vm.Region, []machine{vm.machine()}
	case armnetwork.PacketCaptureTargetTypeAzureVMSS:
		set := s.world.scaleSet(target)
		if set == nil {
			return nil, unknown()
		}
		if set.Flexible {
			return nil, bad("The scale set %s has no instances: its orchestration mode is flexible.", target)
		}
		include, exclude := set.named(p.Scope)
		if len(include) > 0 && len(exclude) > 0 {
			return nil, bad("The scope includes and excludes instances.")
		}
		where, machines = set.Region, set.machines(include, exclude)
		for _, i := range include {
			out.Scope.Include = append(out.Scope.Include, new(set.ID+"/virtualMachines/"+i))
		}
		for _, i := range exclude {
			out.Scope.Exclude = append(out.Scope.Exclude, new(set.ID+"/virtualMachines/"+i))
		}
	default:
		return nil, bad("The target type '%s' is invalid.", kind)
	}
	if region(where) != sess.Region {
		return nil, bad("The target %s is in the region %s, the network watcher in %s.", target, region(where), sess.Region)
	}
	if p.ContinuousCapture != nil && *p.ContinuousCapture || p.CaptureSettings != nil {
		return nil, bad("The local ARM has no continuous captures.")
	}
	out.TotalBytesPerSession = new(or64(p.TotalBytesPerSession, defaultTotalBytes))
	out.BytesToCapturePerPacket = new(or64(p.BytesToCapturePerPacket, 0))
	out.TimeLimitInSeconds = new(int32(maxSeconds))
	if p.TimeLimitInSeconds != nil {
		out.TimeLimitInSeconds = p.TimeLimitInSeconds
	}
	if n := *out.TimeLimitInSeconds; n < 1 || n > maxSeconds {
		return nil, bad("The time limit of %d s is not within 1 and %d.", n, maxSeconds)
	}
	if n := *out.TotalBytesPerSession; n < 1 || n > maxBytes {
		return nil, bad("The limit of %d bytes is not within 1 and %d.", n, int64(maxBytes))
	}
	if n := *out.BytesToCapturePerPacket; n < 0 || n > maxBytes {
		return nil, bad("%d bytes per packet are not within 0 and %d.", n, int64(maxBytes))
	}
	for _, f := range p.Filters {
		if f == nil {
			return nil, bad("A filter is null.")
		}
		// Nonsense in an address or a port is accepted, and captures nothing:
		// Azure does not check it either.
		protocol, ok := protocolOf(deref(f.Protocol))
		if !ok {
			return nil, bad("The protocol '%s' is invalid.", deref(f.Protocol))
		}
		out.Filters = append(out.Filters, &armnetwork.PacketCaptureFilter{
			Protocol:       &protocol,
			LocalIPAddress: new(deref(f.LocalIPAddress)), LocalPort: new(deref(f.LocalPort)),
			RemoteIPAddress: new(deref(f.RemoteIPAddress)), RemotePort: new(deref(f.RemotePort)),
		})
	}
	location, a := s.landing(sess, p.StorageLocation, target, machines, bad)
	if a != nil {
		return nil, a
	}
	out.StorageLocation = location
	sess.Properties = out
	return machines, nil
}

func protocolOf(p armnetwork.PcProtocol) (armnetwork.PcProtocol, bool) {
	if p == "" {
		return armnetwork.PcProtocolAny, true
	}
	for _, known := range armnetwork.PossiblePcProtocolValues() {
		if strings.EqualFold(string(p), string(known)) {
			return known, true
		}
	}
	return "", false
}

// landing checks where the file goes, and names it.
func (s *Server) landing(sess *session, l *armnetwork.PacketCaptureStorageLocation, target string, machines []machine, bad func(string, ...any) *answer) (*armnetwork.PacketCaptureStorageLocation, *answer) {
	if l == nil || deref(l.StorageID) == "" && deref(l.FilePath) == "" {
		return nil, bad("The property 'storageLocation' needs a storageId or a filePath.")
	}
	if deref(l.StoragePath) != "" || deref(l.LocalPath) != "" {
		return nil, bad("The local ARM does not know storagePath and localPath.")
	}
	out := &armnetwork.PacketCaptureStorageLocation{StoragePath: new("")}
	if file := deref(l.FilePath); file != "" {
		if !strings.HasSuffix(strings.ToLower(file), ".cap") {
			return nil, bad("The file path '%s' does not end in .cap.", file)
		}
		out.FilePath = &file
	}
	id := deref(l.StorageID)
	if id == "" {
		return out, nil
	}
	account := s.world.storage(id)
	switch {
	case account == nil:
		return nil, fail(http.StatusNotFound, "ResourceNotFound", "The Resource '%s' was not found.", id)
	case region(account.Region) != sess.Region:
		return nil, bad("The storage account %s is in the region %s, the target in %s.", id, region(account.Region), sess.Region)
	case account.NoSharedKey:
		return nil, fail(http.StatusForbidden, "KeyBasedAuthenticationNotPermitted", "Key based authentication is not permitted on the storage account %s.", id)
	}
	out.StorageID = &id
	sess.account = strings.ToLower(id)
	sess.blob = blobName(target, sess.Created, machines)
	endpoint := "https://" + strings.ToLower(lastName(id)) + ".blob.core.windows.net"
	if s.options.BlobEndpoint != nil {
		endpoint = strings.TrimSuffix(s.options.BlobEndpoint(strings.ToLower(lastName(id))), "/")
	}
	out.StoragePath = new(endpoint + "/" + Container + "/" + sess.blob)
	return out, nil
}

// blobName is the documented place of a session's file: the machine's ID in
// lower case, the day, the time. For several instances it is a folder.
func blobName(target string, at time.Time, machines []machine) string {
	base, word, end := strings.ToLower(strings.Trim(target, "/")), "packetcapture", ".cap"
	if strings.Contains(base, "/virtualmachinescalesets/") {
		word = "packetCapture"
		if len(machines) == 1 {
			base += "/virtualMachines/" + machines[0].instance
		} else {
			end = ""
		}
	}
	return fmt.Sprintf("%s/%s/%s_%s_%03d%s", base, at.Format("2006/01/02"), word, at.Format("15_04_05"), at.Nanosecond()/1e6, end)
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

func (v *VM) machine() machine {
	return machine{id: v.ID, addresses: v.Addresses, problem: problem(v.ID, true, v.Power, v.AgentType, v.AgentState)}
}

// named returns the instances that a scope includes and excludes: by number,
// or by ARM ID, which is how Azure echoes them.
func (set *ScaleSet) named(scope *armnetwork.PacketCaptureMachineScope) (include, exclude []string) {
	if scope == nil {
		return nil, nil
	}
	for _, i := range scope.Include {
		include = append(include, lastName(deref(i)))
	}
	for _, i := range scope.Exclude {
		exclude = append(exclude, lastName(deref(i)))
	}
	return include, exclude
}

// machines applies a scope: none means all instances.
func (set *ScaleSet) machines(include, exclude []string) []machine {
	var all []machine
	if len(include) == 0 {
		for _, i := range set.Instances {
			if !slices.Contains(exclude, i.ID) {
				include = append(include, i.ID)
			}
		}
	}
	for _, n := range include {
		m := machine{id: set.ID + "/virtualMachines/" + n, instance: n}
		if i := set.instance(n); i != nil {
			m.addresses, m.problem = i.Addresses, problem(m.id, true, i.Power, i.AgentType, "")
		} else {
			m.problem = problem(m.id, false, "", "", "")
		}
		all = append(all, m)
	}
	return all
}

// problem says why there can be no capture on a machine. The first text is
// Azure's, the other our own.
func problem(id string, exists bool, power, agentType, agentState string) string {
	switch {
	case !exists || !running(power):
		return id + " does not exist or is in stopped state."
	case agentType == "" || or(agentState, "Succeeded") != "Succeeded":
		return "The Network Watcher agent extension is not ready on " + id + "."
	}
	return ""
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func or64(p *int64, otherwise int64) int64 {
	if p == nil {
		return otherwise
	}
	return *p
}
