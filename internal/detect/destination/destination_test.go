package destination_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/destination"
	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
)

func Test(t *testing.T) { detecttest.Run(t, destination.Detector) }
