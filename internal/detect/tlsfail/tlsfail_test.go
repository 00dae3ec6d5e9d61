package tlsfail_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
	"github.com/pcapwarden/pcapwarden/internal/detect/tlsfail"
)

func Test(t *testing.T) { detecttest.Run(t, tlsfail.Detector) }
