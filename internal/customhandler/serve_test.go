package customhandler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asHandler makes the test binary a custom handler, so that signals and exit
// codes are real.
const asHandler = "CUSTOMHANDLER_TEST_SERVE"

func TestMain(m *testing.M) {
	if mode := os.Getenv(asHandler); mode != "" {
		os.Exit(serveForTest(mode))
	}
	os.Exit(m.Run())
}

func serveForTest(mode string) int {
	log := slog.New(LogHandler(slog.NewJSONHandler(os.Stdout, nil)))
	started := make(chan struct{})
	h, err := New(log, Options{}, Timer("sweep", func(ctx context.Context, _ Tick) error {
		close(started)
		if mode == "stubborn" {
			select {}
		}
		<-ctx.Done()
		return fmt.Errorf("saved: %w", context.Cause(ctx))
	}))
	if err != nil {
		return 99
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 98
	}
	go func() {
		resp, err := http.Post("http://"+l.Addr().String()+"/sweep", "application/json", strings.NewReader(tickJSON))
		if err == nil {
			io.Copy(os.Stdout, resp.Body)
		}
	}()
	go func() {
		<-started
		fmt.Println("READY")
	}()
	return ExitCode(Serve(context.Background(), log, l, h, 50*time.Millisecond))
}

func TestSignalsAndExitCodes(t *testing.T) {
	tests := []struct {
		name, mode string
		signal     syscall.Signal
		exit       int
		output     string
	}{
		{"terminate", "polite", syscall.SIGTERM, 143, "saved: stopped by signal: terminated"},
		{"interrupt", "polite", syscall.SIGINT, 130, "saved: stopped by signal: interrupt"},
		{"stubborn", "stubborn", syscall.SIGTERM, 143, "stopping"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), asHandler+"="+tt.mode)
			out := &signalWhenReady{signal: func() { cmd.Process.Signal(tt.signal) }}
			cmd.Stdout, cmd.Stderr = out, os.Stderr
			err = cmd.Run()
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.ExitCode() != tt.exit {
				t.Errorf("exit = %v, want %d", err, tt.exit)
			}
			if !strings.Contains(out.text, tt.output) {
				t.Errorf("output %q does not say %q", out.text, tt.output)
			}
		})
	}
}

type signalWhenReady struct {
	text   string
	signal func()
}

func (w *signalWhenReady) Write(p []byte) (int, error) {
	before := strings.Contains(w.text, "READY")
	w.text += string(p)
	if !before && strings.Contains(w.text, "READY") {
		w.signal()
	}
	return len(p), nil
}

// A running invocation may finish within the drain, both with a known length
// and chunked, over one connection.
func TestServeDrains(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	h, _ := newHandler(t, Options{},
		Timer("sweep", func(context.Context, Tick) error { return nil }),
		Timer("slow", func(ctx context.Context, _ Tick) error {
			close(began)
			<-finish
			return ctx.Err()
		}))
	t.Setenv(PortVariable, freePort(t))
	l, err := Listen(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	served := make(chan error)
	go func() { served <- Serve(ctx, slog.New(slog.DiscardHandler), l, h, time.Minute) }()

	url := "http://" + l.Addr().String()
	for _, body := range []io.Reader{strings.NewReader(tickJSON), io.MultiReader(strings.NewReader(tickJSON))} {
		resp, err := http.Post(url+"/sweep", "application/json", body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("answer = %v, %v", resp, err)
		}
		resp.Body.Close()
	}
	answered := make(chan int)
	go func() {
		resp, err := http.Post(url+"/slow", "application/json", strings.NewReader(tickJSON))
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-began
	why := errors.New("told to")
	stop(why)
	close(finish)
	if status := <-answered; status != 200 {
		t.Errorf("the running invocation was answered with %d", status)
	}
	if err := <-served; !errors.Is(err, why) || ExitCode(err) != 1 {
		t.Errorf("Serve = %v", err)
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, port := range []string{"", "0", "-1", "65536", "http", port} {
		if l, err := Listen(func(string) string { return port }); err == nil {
			t.Errorf("port %q: listens on %v", port, l.Addr())
		} else if !strings.Contains(err.Error(), PortVariable) {
			t.Errorf("port %q: error %q does not name the variable", port, err)
		}
	}
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
