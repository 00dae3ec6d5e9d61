package certificate_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/certificate"
	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
)

func Test(t *testing.T) { detecttest.Run(t, certificate.Detector) }
