package functionshost

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMatchRoute(t *testing.T) {
	const route = "api/captures/{id?}/{action?}"
	tests := []struct {
		route, path string
		want        map[string]string
		ok          bool
	}{
		{route, "api/captures", map[string]string{}, true},
		{route, "API/Captures/pc-1", map[string]string{"id": "pc-1"}, true},
		{route, "api/captures/pc-1/stop", map[string]string{"id": "pc-1", "action": "stop"}, true},
		{route, "api/captures/pc-1/stop/now", nil, false},
		{route, "api/captures//stop", nil, false},
		{route, "api", nil, false},
		{"api/a/{id}", "api/a", nil, false},
		{"api/a/{id}", "api/a/1", map[string]string{"id": "1"}, true},
		{"api/{id}/a", "api/1/b", nil, false},
	}
	for _, tt := range tests {
		got, ok := matchRoute(strings.Split(tt.route, "/"), strings.Split(tt.path, "/"))
		if ok != tt.ok || ok && !cmp.Equal(got, tt.want) {
			t.Errorf("matchRoute(%q, %q) = %v, %v; want %v, %v", tt.route, tt.path, got, ok, tt.want, tt.ok)
		}
	}
}
