package policy_test

import (
	"errors"
	"os"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/policy"
)

func TestSample(t *testing.T) {
	data, err := os.ReadFile("../../policy.sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load(data)
	if err != nil {
		if e, ok := errors.AsType[*policy.InvalidError](err); ok {
			for _, m := range e.Mistakes {
				t.Log(m)
			}
		}
		t.Fatal(err)
	}
	t.Logf("%+v", p)
}
