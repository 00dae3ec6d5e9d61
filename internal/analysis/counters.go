package analysis

// Counters are tshark's counts.
type Counters struct{}
