package latency_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
	"github.com/pcapwarden/pcapwarden/internal/detect/latency"
)

func Test(t *testing.T) { detecttest.Run(t, latency.Detector) }
