package pathmtu_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
	"github.com/pcapwarden/pcapwarden/internal/detect/pathmtu"
)

func Test(t *testing.T) { detecttest.Run(t, pathmtu.Detector) }
