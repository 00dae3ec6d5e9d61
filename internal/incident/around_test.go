package incident_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	"github.com/pcapwarden/pcapwarden/internal/incident"
)

// TestResourcesAround: what Azure said of the deciding flows names their
// network interfaces and subnets, each once.
func TestResourcesAround(t *testing.T) {
	one := controlplane.Flow{Interface: "/nics/web-1-nic", Subnet: "/subnets/front"}
	other := controlplane.Flow{Interface: "/nics/" + strings.Repeat("x", 5000), Subnet: "/subnets/front"}
	m, err := incident.Analysed(incident.Origin{Incident: "i", Case: "c", Target: "/vms/web-1"}, &analysis.Analysis{
		Context: &controlplane.Context{Flows: []controlplane.Flow{one, one, {}, other, {Interface: "/nics/beyond the cap"}}},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Data struct {
			Resources []struct{ UID, Name, Type string }
		}
	}
	if err := json.Unmarshal(m.Body, &doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range doc.Data.Resources {
		got = append(got, r.Type+" "+r.Name[:min(len(r.Name), 12)])
		if len(r.UID) > 512 {
			t.Errorf("an ID of %d bytes", len(r.UID))
		}
	}
	want := []string{"Azure virtual machine web-1", "Azure network interface web-1-nic", "Azure subnet front", "Azure network interface xxxxxxxxxxxx"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
}
