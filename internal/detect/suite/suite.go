// Package suite lists the detectors that the product runs.
package suite

import (
	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/detect/beacon"
	"github.com/pcapwarden/pcapwarden/internal/detect/certificate"
	"github.com/pcapwarden/pcapwarden/internal/detect/churn"
	"github.com/pcapwarden/pcapwarden/internal/detect/connect"
	"github.com/pcapwarden/pcapwarden/internal/detect/destination"
	"github.com/pcapwarden/pcapwarden/internal/detect/exposure"
	"github.com/pcapwarden/pcapwarden/internal/detect/latency"
	"github.com/pcapwarden/pcapwarden/internal/detect/loss"
	"github.com/pcapwarden/pcapwarden/internal/detect/oneway"
	"github.com/pcapwarden/pcapwarden/internal/detect/pathmtu"
	"github.com/pcapwarden/pcapwarden/internal/detect/quality"
	"github.com/pcapwarden/pcapwarden/internal/detect/reset"
	"github.com/pcapwarden/pcapwarden/internal/detect/resolve"
	"github.com/pcapwarden/pcapwarden/internal/detect/tlsfail"
	"github.com/pcapwarden/pcapwarden/internal/detect/unreachable"
	"github.com/pcapwarden/pcapwarden/internal/detect/window"
)

// Default are all detectors.
var Default = []*detect.Detector{
	connect.Detector,
	reset.Detector,
	loss.Detector,
	window.Detector,
	latency.Detector,
	pathmtu.Detector,
	unreachable.Detector,
	oneway.Detector,
	churn.Detector,
	tlsfail.Detector,
	certificate.Detector,
	resolve.Detector,
	beacon.Detector,
	destination.Detector,
	exposure.Detector,
	quality.Detector,
}
