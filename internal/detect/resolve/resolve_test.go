package resolve_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
	"github.com/pcapwarden/pcapwarden/internal/detect/resolve"
)

func Test(t *testing.T) { detecttest.Run(t, resolve.Detector) }
