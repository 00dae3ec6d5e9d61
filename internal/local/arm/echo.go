package arm

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
)

// Azure's limits and defaults of a session that is not continuous.
// https://learn.microsoft.com/azure/network-watcher/packet-capture-overview
const (
	maxSeconds        = 18000
	maxBytes          = 1<<32 - 1
	defaultTotalBytes = 1 << 30
)

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
