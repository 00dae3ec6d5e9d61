package arm

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// The limits of a session that is not continuous: five hours, and what fits
// Azure's own client.
// https://learn.microsoft.com/azure/network-watcher/packet-capture-overview
const (
	maxTimeLimit  = 18000 * time.Second
	maxTotalBytes = 1<<32 - 1
)

// newCapture writes a spec as Azure wants it.
func newCapture(s capture.Spec) (armnetwork.PacketCapture, error) {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Name == "" {
		complain("no name")
	}
	if s.TimeLimit <= 0 || s.TimeLimit > maxTimeLimit {
		complain("time limit %v is not within 1s and %v", s.TimeLimit, maxTimeLimit)
	}
	if s.TotalBytes <= 0 || s.TotalBytes > maxTotalBytes {
		complain("byte limit %d is not within 1 and %d", s.TotalBytes, int64(maxTotalBytes))
	}
	if s.BytesPerPacket < 0 || s.BytesPerPacket > maxTotalBytes {
		complain("%d bytes per packet is not within 0 and %d", s.BytesPerPacket, int64(maxTotalBytes))
	}
	if s.StorageID == "" {
		complain("no storage account")
	}
	p := &armnetwork.PacketCaptureParameters{
		Target:                  &s.Target,
		TargetType:              new(armnetwork.PacketCaptureTargetType(s.TargetType)),
		StorageLocation:         &armnetwork.PacketCaptureStorageLocation{StorageID: &s.StorageID},
		TimeLimitInSeconds:      new(int32((min(s.TimeLimit, maxTimeLimit) + time.Second - 1) / time.Second)),
		TotalBytesPerSession:    &s.TotalBytes,
		BytesToCapturePerPacket: &s.BytesPerPacket,
	}
	switch s.TargetType {
	case capture.AzureVM:
		if len(s.Instances) > 0 {
			complain("instances %q of a virtual machine", s.Instances)
		}
	case capture.AzureVMSS:
		if len(s.Instances) == 0 {
			complain("no instances: that would capture on the whole scale set")
		}
		p.Scope = &armnetwork.PacketCaptureMachineScope{}
		for _, i := range s.Instances {
			if i == "" || strings.Contains(i, "/") {
				complain("%q is not an instance of a uniform scale set: capture on the machines of a flexible one by themselves", i)
			}
			p.Scope.Include = append(p.Scope.Include, &i)
		}
	default:
		complain("target type %q is neither %s nor %s", s.TargetType, capture.AzureVM, capture.AzureVMSS)
	}
	for _, f := range s.Filters {
		p.Filters = append(p.Filters, &armnetwork.PacketCaptureFilter{
			Protocol:        new(armnetwork.PcProtocol(f.Protocol)),
			LocalIPAddress:  set(f.LocalIP),
			LocalPort:       set(f.LocalPort),
			RemoteIPAddress: set(f.RemoteIP),
			RemotePort:      set(f.RemotePort),
		})
	}
	return armnetwork.PacketCapture{Properties: p}, errors.Join(errs...)
}

// set leaves a field out when it is empty.
func set(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// readSession reads the answer to a PUT: the session as it will be, complete
// but for its state.
func readSession(r *http.Response, region string) (capture.Session, bool) {
	body, err := runtime.Payload(r)
	if err != nil {
		return capture.Session{}, false
	}
	var result armnetwork.PacketCaptureResult
	if json.Unmarshal(body, &result) != nil || deref(result.ID) == "" {
		return capture.Session{}, false
	}
	return newSession(&result, region), true
}

func newSession(r *armnetwork.PacketCaptureResult, region string) capture.Session {
	s := capture.Session{ID: deref(r.ID), Name: deref(r.Name), Region: region}
	p := r.Properties
	if p == nil {
		return s
	}
	s.ProvisioningState = string(deref(p.ProvisioningState))
	s.Target = deref(p.Target)
	// Left out, it means a virtual machine.
	s.TargetType = or(capture.TargetType(deref(p.TargetType)), capture.AzureVM)
	if p.StorageLocation != nil {
		s.StoragePath = deref(p.StorageLocation.StoragePath)
	}
	s.TimeLimit = time.Duration(deref(p.TimeLimitInSeconds)) * time.Second
	s.TotalBytes = deref(p.TotalBytesPerSession)
	s.BytesPerPacket = deref(p.BytesToCapturePerPacket)
	for _, f := range p.Filters {
		if f == nil {
			continue
		}
		s.Filters = append(s.Filters, capture.Filter{
			Protocol:   string(deref(f.Protocol)),
			LocalIP:    deref(f.LocalIPAddress),
			LocalPort:  deref(f.LocalPort),
			RemoteIP:   deref(f.RemoteIPAddress),
			RemotePort: deref(f.RemotePort),
		})
	}
	return s
}

// maxErrors is how many of a session's errors are kept: there is one for each
// instance that is gone, up to a thousand.
const maxErrors = 20

// readStatus reads a status document. It is read leniently: a field that
// Azure writes in a new way must not hide what the session does.
func readStatus(r *http.Response) (capture.Status, error) {
	body, err := runtime.Payload(r)
	if err != nil {
		return capture.Status{}, unanswered(QueryCaptures, err)
	}
	var doc struct {
		Started string           `json:"captureStartTime"`
		State   capture.PcStatus `json:"packetCaptureStatus"`
		Reason  string           `json:"stopReason"`
		Errors  []any            `json:"packetCaptureError"`
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &doc); err != nil {
			return capture.Status{}, fmt.Errorf("%s: the answer is not a capture's status", QueryCaptures)
		}
	}
	s := capture.Status{
		State:      or(capture.PcStatus(clean(string(doc.State), maxCode)), capture.Undefined),
		StopReason: clean(doc.Reason, maxCode),
	}
	if t, err := time.Parse(time.RFC3339, doc.Started); err == nil {
		s.Started = t.UTC()
	}
	for i, e := range doc.Errors {
		if i == maxErrors {
			s.Errors = append(s.Errors, fmt.Sprintf("and %d more", len(doc.Errors)-i))
			break
		}
		s.Errors = append(s.Errors, clean(fmt.Sprint(e), maxMessage))
	}
	return s, nil
}
