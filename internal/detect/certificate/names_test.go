package certificate

import (
	"slices"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
)

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		name, host string
		cert       tls.Certificate
		want       bool
	}{
		{"same", "db.example.com", tls.Certificate{Names: []string{"db.example.com"}}, true},
		{"case_and_dot", "DB.example.com.", tls.Certificate{Names: []string{"db.Example.com"}}, true},
		{"wildcard", "db.example.com", tls.Certificate{Names: []string{"*.example.com"}}, true},
		{"wildcard_is_one_label", "a.db.example.com", tls.Certificate{Names: []string{"*.example.com"}}, false},
		{"wildcard_is_a_label", "example.com", tls.Certificate{Names: []string{"*.example.com"}}, false},
		{"second_name", "b.example.com", tls.Certificate{Names: []string{"a.example.com", "b.example.com"}}, true},
		{"common_name_counts_without_names", "db.example.com", tls.Certificate{Subject: "db.example.com"}, true},
		{"common_name_does_not_count_with_names", "db.example.com", tls.Certificate{Subject: "db.example.com", Names: []string{"x.example.com"}}, false},
		{"another", "db.example.com", tls.Certificate{Names: []string{"db.example.org"}}, false},
		{"address", "10.0.0.4", tls.Certificate{Names: []string{"db.example.org"}}, true},
		{"names_left_out", "z.example.com", tls.Certificate{Names: slices.Repeat([]string{"a.example.com"}, tls.MaxNames)}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := covers(&tt.cert, tt.host); got != tt.want {
				t.Errorf("covers(%q) = %v, want %v", tt.host, got, tt.want)
			}
		})
	}
}
