package connect_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/connect"
	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
)

func Test(t *testing.T) { detecttest.Run(t, connect.Detector) }
