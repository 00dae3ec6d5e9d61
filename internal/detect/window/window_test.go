package window_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
	"github.com/pcapwarden/pcapwarden/internal/detect/window"
)

func Test(t *testing.T) { detecttest.Run(t, window.Detector) }
