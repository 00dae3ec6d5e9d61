// Command pcapwarden turns Azure Monitor alerts into scoped packet captures
// and captures into findings. Azure Functions runs it as a custom handler; on
// a shell it analyses captures, checks policies and plays the whole loop.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/pcapwarden/pcapwarden/internal/customhandler"
)

// Exit codes that every command shares.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// An environment is all that a command gets from outside.
type environment struct {
	getenv func(string) string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// A command is one word on the command line.
type command struct {
	name    string
	summary string
	run     func(ctx context.Context, e environment, args []string) int
}

var commands = []command{
	{"serve", "answer the Azure Functions host; what the app does in Azure", serve},
	{"local", "play the whole loop on this machine, on real packets", local},
	{"analyze", "say what captures show: findings, verdict, counters", analyze},
	{"compare", "say what differs between a capture and a baseline", compareCaptures},
	{"excerpt", "cut the packets of a finding out of a capture", excerptCapture},
	{"redact", "write a derivative of a capture that can be shared", redactCapture},
	{"policy check", "validate a policy, and try an alert on it", func(_ context.Context, e environment, args []string) int {
		return policyCheck(args, e.stdin, e.stdout, e.stderr)
	}},
	{"captures", "list, show, approve, reject, stop, delete, hold, release, export", capturesCommand},
	{"evidence verify", "check evidence, manifests and the log against each other", evidenceVerify},
	{"evidence show", "print the custody manifests of an incident", evidenceShow},
	{"audit verify", "check that the log of effects is whole", auditVerify},
	{"doctor", "say whether the app could do its work: settings, rights, stores, queues", doctorCommand},
	{"version", "print the version", version},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, environment{os.Getenv, os.Stdin, os.Stdout, os.Stderr}, os.Args[1:]))
}

func run(ctx context.Context, e environment, args []string) int {
	if len(args) == 0 && e.getenv(customhandler.PortVariable) != "" {
		args = []string{"serve"}
	}
	for _, c := range commands {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == c.name {
			return c.run(ctx, e, args[len(words):])
		}
	}
	out, code := e.stderr, exitUsage
	switch {
	case len(args) == 1 && (args[0] == "help" || args[0] == "-h" || args[0] == "--help"):
		out, code = e.stdout, exitOK
	case len(args) > 0:
		fmt.Fprintf(out, "pcapwarden: there is no command %q\n\n", args[0])
	}
	fmt.Fprint(out, "usage: pcapwarden COMMAND [FLAGS] [ARGUMENTS]\n\n")
	for _, c := range commands {
		fmt.Fprintf(out, "  %-15s %s\n", c.name, c.summary)
	}
	fmt.Fprint(out, "\nEach command tells its flags with -h.\n")
	return code
}
