package main

import (
	"context"
	"errors"
	"os"
	"runtime/pprof"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
)

// profiled are the inputs that are like what people capture, and how often
// each is analysed: the compiler is to know where ordinary traffic takes the
// time, not a flood.
var profiled = map[string]int{"mixed": 12, "lookups": 1, "short-tls": 1}

// record analyses captures and writes to file where the processor was.
func record(ctx context.Context, dir, file string) (err error) {
	var captures []string
	for _, in := range inputs {
		if profiled[in.name] == 0 {
			continue
		}
		capture, err := in.make(ctx, dir)
		if err != nil {
			return err
		}
		captures = append(captures, slices.Repeat([]string{capture}, profiled[in.name])...)
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	for _, capture := range captures {
		if err := analyze(ctx, capture); err != nil {
			return err
		}
	}
	return nil
}

func analyze(ctx context.Context, capture string) error {
	f, err := os.Open(capture)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = analysis.Run(ctx, f, analysis.Options{})
	return err
}
