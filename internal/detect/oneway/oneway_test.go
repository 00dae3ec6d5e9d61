package oneway_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
	"github.com/pcapwarden/pcapwarden/internal/detect/oneway"
)

func Test(t *testing.T) { detecttest.Run(t, oneway.Detector) }
