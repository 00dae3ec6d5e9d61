package customhandler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// PortVariable is the environment variable in which the host passes the port.
const PortVariable = "FUNCTIONS_CUSTOMHANDLER_PORT"

const (
	// idleTimeout is longer than the host keeps an idle connection: if we
	// closed first, an invocation could be lost that is just being sent.
	idleTimeout = 10 * time.Minute
	// lastCall is what functions get to save their work when the drain is over.
	lastCall = 2 * time.Second
)

// Listen listens on the port that the host chose, on 127.0.0.1 only: there is
// no authentication on it. Call it when everything else is ready, since the
// host takes an open port for readiness.
func Listen(getenv func(string) string) (net.Listener, error) {
	port := getenv(PortVariable)
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("listen: %s is %q; want the port that the Functions host passes", PortVariable, cut(port, 40))
	}
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, fmt.Errorf("listen on the port of %s: %w", PortVariable, err)
	}
	return l, nil
}

// StoppedError tells that a signal ended [Serve].
type StoppedError struct{ Signal os.Signal }

func (e *StoppedError) Error() string { return fmt.Sprintf("stopped by signal: %v", e.Signal) }

// Serve answers the host until ctx ends or SIGTERM or SIGINT comes, and always
// returns why. Running invocations then get drain to finish, and a moment more
// with their context cancelled; a second signal ends that. The host itself
// sends no signal, it kills.
func Serve(ctx context.Context, log *slog.Logger, l net.Listener, h http.Handler, drain time.Duration) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

	// Invocations outlive ctx by the drain.
	running, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return running },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()

	var why error
	select {
	case err := <-served:
		return fmt.Errorf("serve the Functions host: %w", err)
	case s := <-signals:
		why = &StoppedError{s}
	case <-ctx.Done():
		why = context.Cause(ctx)
	}
	log.InfoContext(ctx, "stopping; running invocations may finish", "reason", why.Error(), "drain", drain.String())

	drained, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	go func() {
		select {
		case <-signals:
			cancel()
		case <-drained.Done():
		}
	}()
	if server.Shutdown(drained) == nil {
		return why
	}
	stop(why)
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), lastCall)
	defer cancelLast()
	if err := server.Shutdown(last); err != nil {
		server.Close()
		return errors.Join(why, errors.New("invocations were cut off; their triggers deliver them again"))
	}
	return why
}

// ExitCode is the code to exit with for what [Serve] returned. The host starts
// the handler again after any code but 0, which it takes for intended: it then
// fails every invocation. 200 would be a restart that it does not count
// towards the three within half an hour that stop it.
//
//	128+n  signal n: 143 for SIGTERM, 130 for SIGINT
//	1      anything else, nil included
func ExitCode(err error) int {
	if stopped, ok := errors.AsType[*StoppedError](err); ok {
		if s, ok := stopped.Signal.(syscall.Signal); ok {
			return 128 + int(s)
		}
	}
	return 1
}
