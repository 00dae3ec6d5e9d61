package beacon_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/beacon"
	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
)

func Test(t *testing.T) { detecttest.Run(t, beacon.Detector) }
