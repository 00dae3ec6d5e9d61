package functionshost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/local/loopback"
)

// freeRestart is the exit code after which the host restarts a handler without
// counting it.
const freeRestart = 200

type phase int

const (
	starting phase = iota
	ready
	dead    // exited with 0: the host leaves it so
	stopped // the host gave up, or is closed
)

// worker keeps the handler's process running, by the host's rules.
type worker struct {
	file    hostFile
	env     environment
	port    int
	held    io.Closer // the port, unless host.json fixes it
	observe func(Event)
	client  *http.Client

	mu      sync.Mutex
	phase   phase
	why     error         // of stopped
	changed chan struct{} // closed when phase changes
	process *process
	closing bool
	done    chan struct{} // closed when stopped
}

// process is one run of the handler.
type process struct {
	cmd     *exec.Cmd
	exited  chan struct{}
	excused bool   // killed by us on purpose: not counted
	late    string // why it was killed while starting
}

func newWorker(file hostFile, env environment, appDir string, observe func(Event)) (*worker, error) {
	port, held := file.fixedHandlerPort, io.Closer(io.NopCloser(nil))
	if port == 0 {
		// The real host binds one and closes it again: alone on its machine it
		// can afford the race.
		p, err := loopback.Take()
		if err != nil {
			return nil, fmt.Errorf("find a port for the handler: %w", err)
		}
		port, held = p.Number, p
	}
	id := newGUID()
	maps.Copy(env, map[string]string{
		"FUNCTIONS_CUSTOMHANDLER_PORT":      strconv.Itoa(port),
		"FUNCTIONS_CUSTOMHANDLER_WORKER_ID": id,
		"FUNCTIONS_HTTPWORKER_PORT":         strconv.Itoa(port),
		"FUNCTIONS_HTTPWORKER_ID":           id,
		"FUNCTIONS_APP_ROOT_PATH":           appDir,
	})
	return &worker{
		file: file, env: env, port: port, held: held, observe: observe,
		client:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, CheckRedirect: noRedirect},
		changed: make(chan struct{}), done: make(chan struct{}),
	}, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (w *worker) url() string { return fmt.Sprintf("http://127.0.0.1:%d", w.port) }

// run starts the handler again and again, until it is closed or the rules say
// stop. It keeps its thread, since the kernel kills the handler when the
// thread that started it ends.
func (w *worker) run() {
	runtime.LockOSThread()
	var errs errorBucket
	for {
		code, err := w.runOnce()
		w.mu.Lock()
		closing, excused := w.closing, w.process != nil && w.process.excused
		w.mu.Unlock()
		switch {
		case closing:
			w.set(stopped, errClosed)
			return
		case excused, err == nil && code == freeRestart:
			w.set(starting, nil)
			continue
		case err == nil && code == 0:
			w.observe(Event{Kind: HandlerExited, Level: slog.LevelWarn, Text: "exited with code 0: the host does not start it again, and every later invocation fails with connection refused"})
			w.set(dead, nil)
			return
		}
		if err == nil {
			err = fmt.Errorf("exited with code %d", code)
		}
		if errs.add(time.Now()) {
			err = fmt.Errorf("%w; that is the third error with less than 30 minutes between them: the host stops", err)
			w.observe(Event{Kind: HostStopped, Level: slog.LevelError, Text: err.Error()})
			w.set(stopped, err)
			return
		}
		w.observe(Event{Kind: HandlerExited, Level: slog.LevelError, Text: err.Error() + "; the host starts it again"})
		w.set(starting, nil)
	}
}

// runOnce runs the handler until it exits, by a code or an error that the host
// counts.
func (w *worker) runOnce() (code int, err error) {
	cmd := exec.Command(w.file.executable, w.file.arguments...)
	cmd.Dir, cmd.Env = w.file.workingDir, w.env.list()
	cmd.WaitDelay = time.Second // for pipes that a child of the handler keeps open
	isolate(cmd)
	stderr := &lineWriter{level: stderrLevel(w.file.stderrForErrors), observe: w.observe}
	stdout := &lineWriter{level: func(string) slog.Level { return slog.LevelInfo }, observe: w.observe}
	cmd.Stdout, cmd.Stderr = stdout, stderr

	p := &process{cmd: cmd, exited: make(chan struct{})}
	w.mu.Lock()
	if w.closing {
		w.mu.Unlock()
		return 0, errClosed
	}
	w.process = p
	err = cmd.Start()
	w.mu.Unlock()
	if err != nil {
		close(p.exited)
		return 0, fmt.Errorf("start the handler: %w", err)
	}
	w.observe(Event{Kind: HandlerStarted, Level: slog.LevelDebug, Text: fmt.Sprintf("process %d on port %d", cmd.Process.Pid, w.port)})
	var probing sync.WaitGroup
	probing.Go(func() { w.probe(p) })
	err = cmd.Wait()
	kill(cmd.Process) // what it may have left behind in its group
	close(p.exited)
	probing.Wait()
	w.client.CloseIdleConnections() // else one of them could lose the next invocation
	stdout.flush()
	stderr.flush()

	w.mu.Lock()
	defer w.mu.Unlock()
	if p.late != "" {
		return 0, errors.New(p.late)
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case ok && exit.ExitCode() < 0:
		return 0, fmt.Errorf("ended by %v%s", exit, stderr.last())
	case ok && exit.ExitCode() != freeRestart:
		return 0, fmt.Errorf("exited with code %d%s", exit.ExitCode(), stderr.last())
	case ok:
		return exit.ExitCode(), nil
	case errors.Is(err, exec.ErrWaitDelay):
		return cmd.ProcessState.ExitCode(), nil
	}
	return 0, err
}

func (w *worker) set(to phase, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if to == dead && w.closing {
		to, why = stopped, errClosed
	}
	w.phase, w.why = to, why
	close(w.changed)
	w.changed = make(chan struct{})
	if to == stopped {
		close(w.done)
	}
}

func (w *worker) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.phase == dead
}

func (w *worker) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.why
}

// await waits for a handler to send to. One that exited with 0 is as good as
// any: connecting to it fails.
func (w *worker) await(ctx context.Context) (*process, error) {
	for {
		w.mu.Lock()
		at, why, changed, p := w.phase, w.why, w.changed, w.process
		w.mu.Unlock()
		switch at {
		case ready, dead:
			return p, nil
		case stopped:
			return nil, fmt.Errorf("the host has stopped: %w", why)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (w *worker) current() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.process
}

// kill ends a process at once and waits for its end. The handler is started
// again and the error not counted.
func (w *worker) kill(p *process) {
	w.mu.Lock()
	if p == nil || p.cmd.Process == nil {
		w.mu.Unlock()
		return
	}
	select {
	case <-p.exited:
		w.mu.Unlock()
		return
	default:
	}
	p.excused = true
	if w.phase == ready && p == w.process {
		w.phase = starting
	}
	kill(p.cmd.Process)
	w.mu.Unlock()
	<-p.exited
}

// close ends the handler for good, as the host does: without asking.
func (w *worker) close() {
	w.mu.Lock()
	w.closing = true
	isDead := w.phase == dead // its run has returned
	w.mu.Unlock()
	w.kill(w.current())
	if isDead {
		w.set(stopped, errClosed)
	}
	w.client.CloseIdleConnections()
	w.held.Close()
}
