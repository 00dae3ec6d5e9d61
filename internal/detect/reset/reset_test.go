package reset_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
	"github.com/pcapwarden/pcapwarden/internal/detect/reset"
)

func Test(t *testing.T) { detecttest.Run(t, reset.Detector) }
