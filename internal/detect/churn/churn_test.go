package churn_test

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/detect/churn"
	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
)

func Test(t *testing.T) { detecttest.Run(t, churn.Detector) }
