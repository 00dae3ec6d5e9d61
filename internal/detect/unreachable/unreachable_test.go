package unreachable_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
	"github.com/pcapwarden/pcapwarden/internal/detect/unreachable"
)

func Test(t *testing.T) { detecttest.Run(t, unreachable.Detector) }
