package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime/pprof"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/test/bench/traffic"
)

// Enough samples that another run gives the compiler the same hints.
const (
	profiledBytes = 100e6 // of ordinary traffic, which lies in memory
	profiledTimes = 60
)

// profile writes where the analysis of ordinary traffic spends its time: the
// compiler inlines there, and lays out code by it.
func profile(ctx context.Context, file string) error {
	var capture bytes.Buffer
	if err := traffic.Mixed(&capture, profiledBytes); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	for range profiledTimes {
		if _, err := analysis.Run(ctx, io.Reader(bytes.NewReader(capture.Bytes())), analysis.Options{}); err != nil {
			return err
		}
	}
	pprof.StopCPUProfile()
	return f.Close()
}
