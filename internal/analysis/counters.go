package analysis

import (
	"github.com/pcapwarden/pcapwarden/internal/dissect"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// Counters are what tshark 4.0.17 counts.
type Counters struct {
	TCP flow.Counters `json:"tcp"`
	dissect.Counters
}
