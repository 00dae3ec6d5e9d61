package loss_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
	"github.com/pcapwarden/pcapwarden/internal/detect/loss"
)

func Test(t *testing.T) { detecttest.Run(t, loss.Detector) }
