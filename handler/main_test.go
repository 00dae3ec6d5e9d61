package main

import (
	"context"
	"os"
	"testing"
)

// asProgram makes the test binary the program: the local Functions host starts
// it as the handler.
const asProgram = "PCAPWARDEN_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(context.Background(), environment{os.Getenv, os.Stdin, os.Stdout, os.Stderr}, os.Args[1:]))
	}
	os.Exit(m.Run())
}
