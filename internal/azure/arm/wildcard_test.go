package arm

import "testing"

func TestAllow(t *testing.T) {
	tests := []struct {
		name               string
		actions, notAction []string
		want               bool
	}{
		{"everything", []string{"*"}, nil, true},
		{"every read", []string{"*/read"}, nil, true},
		{"every write", []string{"*/write"}, nil, false},
		{"one provider", []string{"microsoft.network/*"}, nil, true},
		{"the middle", []string{"Microsoft.Network/*/packetCaptures/*"}, nil, true},
		{"itself", []string{ReadCaptures}, nil, true},
		{"part of it", []string{"Microsoft.Network/networkWatchers"}, nil, false},
		{"longer", []string{ReadCaptures + "/more"}, nil, false},
		{"overlapping ends", []string{"Microsoft.Network/networkWatchers/packetCaptures/rea*captures/read"}, nil, false},
		{"taken away", []string{"*"}, []string{"Microsoft.Network/networkWatchers/*"}, false},
		{"another taken away", []string{"*"}, []string{"Microsoft.Compute/*"}, true},
		{"nothing", nil, nil, false},
	}
	for _, tt := range tests {
		p := Permissions{{Actions: tt.actions, NotActions: tt.notAction}}
		if got := p.Allow(ReadCaptures); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	// What one role takes away another may give.
	both := Permissions{{Actions: []string{"*"}, NotActions: []string{ReadCaptures}}, {Actions: []string{ReadCaptures}}}
	if !both.Allow(ReadCaptures) {
		t.Error("a second role does not count")
	}
}
