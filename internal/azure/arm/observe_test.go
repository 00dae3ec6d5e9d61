package arm

import "testing"

func TestOperation(t *testing.T) {
	tests := []struct{ method, path, want string }{
		{"GET", "/subscriptions/s/providers/Microsoft.Network/networkWatchers", "GET networkWatchers"},
		{"PUT", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkWatchers/w/packetCaptures/pc-1", "PUT packetCaptures"},
		{"POST", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkWatchers/w/packetCaptures/pc-1/stop", "POST stop"},
		{"GET", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/VM-secret", "GET virtualMachines"},
		{"GET", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/STOP", "GET stop"}, // a name that is a word is a word
		{"GET", "/subscriptions/s/resourceGroups/somebody", "GET other"},
		{"GET", "", "GET other"},
	}
	for _, tt := range tests {
		if got := operation(tt.method, tt.path); got != tt.want {
			t.Errorf("%s %s is %q, want %q", tt.method, tt.path, got, tt.want)
		}
	}
}
