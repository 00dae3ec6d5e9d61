package functionshost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config says which app to host, and with what around it.
type Config struct {
	// AppDir is laid out as for deployment: host.json, and a folder with a
	// function.json for each function.
	AppDir string
	// Settings are the app settings. The handler gets them in its environment,
	// over what the environment of this process has.
	Settings map[string]string
	// Queues has the receiver of every queue that triggers a function, by the
	// name of the queue after %SETTING% is resolved.
	Queues map[string]Receiver
	// Outputs send the messages of Service Bus output bindings, by queue.
	Outputs map[string]func(ctx context.Context, body []byte) error
	// MaxDeliveryCount is how often a message is delivered before it is
	// dead-lettered, 10 when 0 as on a new queue.
	MaxDeliveryCount int

	// Listen is the address for callers, on loopback; 127.0.0.1:0 when empty.
	Listen string
	// FunctionKey and MasterKey are what callers need; random when empty.
	FunctionKey, MasterKey string

	// Grace is how long Close lets running invocations go on before it kills
	// the handler; 5 s when 0.
	Grace time.Duration
	// Observe is told what happens, one event at a time. It must not call the
	// host. See [LogEvents].
	Observe func(Event)
}

// A Host runs one app. Its methods may be called from several goroutines.
type Host struct {
	config    Config
	file      hostFile
	functions map[string]*function // by name in lower case
	timers    map[string]*timer
	worker    *worker
	listener  net.Listener
	server    *http.Server

	observing sync.Mutex

	stopListening context.CancelFunc
	listeners     sync.WaitGroup // timers, queues and the server
	supervising   sync.WaitGroup // the worker
	closing       sync.Once

	mu          sync.Mutex
	closed      bool           // nothing is invoked any more
	invocations sync.WaitGroup // that run; added to only while not closed
}

// Start reads the app, starts its handler, and returns when that is ready. The
// host then runs until Close, or until ctx ends, which closes it.
func Start(ctx context.Context, config Config) (*Host, error) {
	h, err := prepare(config)
	if err != nil {
		return nil, fmt.Errorf("host the app in %q: %w", config.AppDir, err)
	}
	h.supervising.Go(h.worker.run)
	// The host would go on trying this long before it stops itself.
	patience, cancel := context.WithTimeoutCause(ctx, 4*h.file.initTimeout, errors.New("the handler did not become ready"))
	defer cancel()
	_, err = h.worker.await(patience)
	if err == nil && h.worker.isDead() {
		err = errors.New("it exited with code 0, after which the host does not start it again; exit with another code")
	}
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("start the handler %q: %w", h.file.executable, err)
	}
	h.listen(ctx)
	return h, nil
}

func prepare(config Config) (*Host, error) {
	dir, err := filepath.Abs(config.AppDir)
	if err != nil {
		return nil, err
	}
	env := newEnvironment(config.Settings)
	file, fileErr := readHostFile(dir, env)
	functions, functionsErr := readFunctions(dir, env)
	if err := errors.Join(fileErr, functionsErr); err != nil {
		return nil, err
	}
	if config.Observe == nil {
		config.Observe = func(Event) {}
	}
	if config.MaxDeliveryCount == 0 {
		config.MaxDeliveryCount = 10
	}
	if config.FunctionKey == "" {
		config.FunctionKey = newGUID()
	}
	if config.MasterKey == "" {
		config.MasterKey = newGUID()
	}
	if config.Listen == "" {
		config.Listen = "127.0.0.1:0"
	}
	if config.Grace == 0 {
		config.Grace = 5 * time.Second
	}
	h := &Host{config: config, file: file, functions: map[string]*function{}, timers: map[string]*timer{}}
	var mistakes []error
	for _, f := range functions {
		folded := strings.ToLower(f.name)
		if other, ok := h.functions[folded]; ok {
			mistakes = append(mistakes, fmt.Errorf("functions %q and %q have the same name for the host", other.name, f.name))
		}
		h.functions[folded] = f
		if q := f.trigger.QueueName; f.trigger.is("serviceBusTrigger") && config.Queues[q] == nil {
			mistakes = append(mistakes, fmt.Errorf("function %q: no receiver for the queue %q", f.name, q))
		}
		for _, b := range f.outputs {
			if b.is("serviceBus") && config.Outputs[b.QueueName] == nil {
				mistakes = append(mistakes, fmt.Errorf("function %q: no output for the queue %q", f.name, b.QueueName))
			}
		}
		if f.trigger.is("timerTrigger") {
			h.timers[folded] = h.newTimer(f)
		}
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	if h.listener, err = net.Listen("tcp", config.Listen); err != nil {
		return nil, err
	}
	if !h.listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		h.listener.Close()
		return nil, fmt.Errorf("listen on %s: want a loopback address, this is for one machine", config.Listen)
	}
	if h.worker, err = newWorker(file, env, dir, h.observe); err != nil {
		h.listener.Close()
		return nil, err
	}
	return h, nil
}

// listen starts what invokes functions by itself.
func (h *Host) listen(ctx context.Context) {
	listening, stop := context.WithCancel(ctx)
	h.stopListening = stop
	for _, f := range h.functions {
		switch {
		case f.trigger.is("timerTrigger"):
			t := h.timers[strings.ToLower(f.name)]
			h.listeners.Go(func() { t.run(listening) })
		case f.trigger.is("serviceBusTrigger"):
			q := h.newQueue(f)
			h.listeners.Go(func() { q.run(listening) })
		}
	}
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	h.listeners.Go(func() { h.server.Serve(h.listener) })
	context.AfterFunc(ctx, h.Close)
}

func (h *Host) observe(e Event) {
	h.observing.Lock()
	defer h.observing.Unlock()
	h.config.Observe(e)
}

// URL is where the host listens for callers, without a path.
func (h *Host) URL() string { return "http://" + h.listener.Addr().String() }

// HandlerURL is where the handler listens, for tests of what it says to others
// than the host.
func (h *Host) HandlerURL() string { return h.worker.url() }

// FunctionURL is where callers reach an HTTP function, without a key and
// without the parameters of its route; ok is false when there is no such
// function.
func (h *Host) FunctionURL(name string) (url string, ok bool) {
	f, ok := h.functions[strings.ToLower(name)]
	if !ok || !f.trigger.is("httpTrigger") {
		return "", false
	}
	route := h.route(f)
	if n := slices.IndexFunc(route, func(s string) bool { return strings.HasPrefix(s, "{") }); n >= 0 {
		route = route[:n]
	}
	return h.URL() + "/" + strings.Join(route, "/"), true
}

// FunctionKey is what callers of functions send as x-functions-key or ?code=.
func (h *Host) FunctionKey() string { return h.config.FunctionKey }

// MasterKey is what POST /admin/functions/NAME needs.
func (h *Host) MasterKey() string { return h.config.MasterKey }

// Fire invokes a function now and waits for its end: a timer, a queue's
// function with input as the body of a message that is on no queue, or an
// Event Grid function with input as the event. The error is an
// [*InvocationError] when the invocation failed; the host does not repeat it.
// When ctx ends first, the invocation goes on.
func (h *Host) Fire(ctx context.Context, name string, input []byte) error {
	f, ok := h.functions[strings.ToLower(name)]
	if !ok {
		return fmt.Errorf("fire %q: no such function", name)
	}
	var v value
	var err error
	switch {
	case f.trigger.is("timerTrigger"):
		v = h.timers[strings.ToLower(name)].value()
	case f.trigger.is("serviceBusTrigger"):
		v = messageValue(f, Delivery{MessageID: newGUID(), Body: input, DeliveryCount: 1, Enqueued: time.Now()})
	case f.trigger.is("eventGridTrigger"):
		v, err = eventValue(f, input)
	default:
		err = errors.New("call an HTTP function by its URL")
	}
	if err != nil {
		return fmt.Errorf("fire %q: %w", name, err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := h.invoke(f, v)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Kill ends the handler's process by SIGKILL, as an out-of-memory kill or a
// scale-in would, and returns when it is gone. The host starts it again, and
// unlike the real one does not count this towards the three errors after which
// it stops. Invocations that run fail.
func (h *Host) Kill() { h.worker.kill(h.worker.current()) }

// Done is closed when the host has stopped: because of Close, or because the
// handler ended with an error too often. Err then says which.
func (h *Host) Done() <-chan struct{} { return h.worker.done }

// Err is why the host has stopped, nil while it has not.
func (h *Host) Err() error { return h.worker.err() }

// begin counts an invocation in, unless the host is closed.
func (h *Host) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.invocations.Add(1)
	}
	return !h.closed
}

// Close ends the host in the order of the real one: nothing new is taken,
// running invocations get a grace, and the handler is killed. Nothing of it is
// left running.
func (h *Host) Close() {
	h.closing.Do(func() {
		grace, cancel := context.WithTimeout(context.Background(), h.config.Grace)
		defer cancel()
		if h.stopListening == nil {
			h.listener.Close()
		} else {
			h.stopListening()
			h.server.Shutdown(grace)
			h.mu.Lock()
			h.closed = true
			h.mu.Unlock()
			quiet := make(chan struct{})
			go func() {
				h.listeners.Wait()
				h.invocations.Wait()
				close(quiet)
			}()
			select {
			case <-quiet:
			case <-grace.Done():
			}
			h.server.Close()
		}
		h.worker.close()
		h.supervising.Wait()
		h.listeners.Wait() // their invocations have failed with the handler
		h.invocations.Wait()
	})
}
