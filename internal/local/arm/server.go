package arm

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Options are a server's settings. The zero value will do.
type Options struct {
	// Token is the bearer token that requests must carry; empty: any.
	Token string
	// RetryAfter is how long clients should wait between polls of an
	// operation; 0: 10 s, as Azure says. Nothing here takes that long.
	RetryAfter time.Duration
	// StartTimeout bounds an agent's Start; 0: 30 s.
	StartTimeout time.Duration
	// PageSize cuts the list of a scale set's instances into pages; 0: one.
	PageSize int
	// BlobEndpoint returns the URL of a storage account's blob service; nil:
	// https://{account}.blob.core.windows.net.
	BlobEndpoint func(account string) string
	// StateFile keeps the sessions over restarts; empty: they are forgotten.
	StateFile string
	// Fault is asked about every request before it is looked at, and may
	// count them; nil, or an answer of nil: all is well.
	Fault func(*http.Request) *Fault
	// Log gets what goes wrong behind the requests' backs; nil: nobody does.
	Log *slog.Logger
}

// A Server is the local Azure Resource Manager: an http.Handler with state.
type Server struct {
	agent   Agent
	options Options
	log     *slog.Logger

	work    sync.WaitGroup // what goes on after the answer
	closing chan struct{}
	once    sync.Once

	traffic counter

	mu         sync.Mutex
	world      World
	sessions   map[string]*session // by ID in lower case
	operations map[string]*operation
	etags      map[string]string // by watcher ID in lower case
	last       time.Time         // when the last session was created
}

// NewServer returns a server for the world. Without an agent, sessions run by
// the clock alone: they end at their limit, and write nothing.
func NewServer(w World, a Agent, o Options) (*Server, error) {
	if err := w.check(); err != nil {
		return nil, fmt.Errorf("set up the local ARM: %w", err)
	}
	if a == nil {
		a = &clock{}
	}
	o.RetryAfter = cmp.Or(o.RetryAfter, 10*time.Second)
	o.StartTimeout = cmp.Or(o.StartTimeout, 30*time.Second)
	s := &Server{
		agent:      a,
		options:    o,
		log:        cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		closing:    make(chan struct{}),
		world:      w.clone(),
		sessions:   map[string]*session{},
		operations: map[string]*operation{},
		etags:      map[string]string{},
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// Listen opens a port on loopback; 0 is any. The local ARM starts captures,
// so it is never reachable from outside.
func Listen(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)).String())
	if err != nil {
		return nil, fmt.Errorf("open a port for the local ARM: %w", err)
	}
	return l, nil
}

// Serve answers on l, which must be on loopback, until ctx ends; then it
// closes the server. It always closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if a, err := netip.ParseAddrPort(l.Addr().String()); err != nil || !a.Addr().IsLoopback() {
		return errors.Join(fmt.Errorf("serve the local ARM on %s: not loopback", l.Addr()), l.Close())
	}
	h := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	stopped := make(chan struct{})
	end := context.AfterFunc(ctx, func() {
		defer close(stopped)
		s.release()
		// No answer takes longer; what is left are connections that never
		// carried a request.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
		defer cancel()
		if h.Shutdown(grace) != nil {
			h.Close()
		}
	})
	err := h.Serve(l)
	if !end() {
		<-stopped
	}
	s.Close()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the local ARM: %w", err)
}

// release lets requests go that hang on purpose.
func (s *Server) release() { s.once.Do(func() { close(s.closing) }) }

// Close stops every running session, so that its file is completed, and
// returns when nothing goes on any more.
func (s *Server) Close() {
	s.release()
	s.work.Wait()
	for _, id := range s.runningParts() {
		if err := s.agent.Stop(id); err != nil {
			s.log.Error("stop a capture at the end", "session", id, "err", err)
		}
	}
}

// Settle returns when every operation that was accepted has ended. Requests
// that come meanwhile are not waited for.
func (s *Server) Settle() { s.work.Wait() }

// Update changes the world. Sessions on machines that are gone afterwards, or
// no longer run, end.
func (s *Server) Update(change func(*World)) error {
	s.mu.Lock()
	changed := s.world.clone()
	change(&changed)
	if err := changed.check(); err != nil {
		s.mu.Unlock()
		return fmt.Errorf("change the world: %w", err)
	}
	s.world = changed
	lost := s.loseParts()
	s.mu.Unlock()
	for _, id := range lost {
		s.work.Go(func() {
			if err := s.agent.Stop(id); err != nil {
				s.log.Error("stop a capture whose machine is gone", "session", id, "err", err)
			}
		})
	}
	return nil
}

// A request is what a handler gets: authenticated, addressed, read.
type request struct {
	*http.Request
	path
	body  []byte
	fault *Fault // never nil
}

// maxBody is far above any request that makes sense.
const maxBody = 1 << 20

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	count := s.traffic.begin()
	defer count(0)
	// The body is read before anything else: only then does net/http notice
	// that a client went away.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.write(w, fail(http.StatusRequestEntityTooLarge, "RequestContentTooLarge", "The request content is larger than %d bytes.", maxBody))
		return
	}
	var f *Fault
	if s.options.Fault != nil {
		f = s.options.Fault(r)
	}
	if !f.wait(r.Context(), s.closing) {
		panic(http.ErrAbortHandler)
	}
	if f == nil {
		f = &Fault{}
	}
	var a *answer
	if !f.strikes() || f.AfterEffect {
		a = s.answer(r, body, f)
	}
	switch {
	case f.Hang:
		select {
		case <-r.Context().Done():
		case <-s.closing:
		}
		panic(http.ErrAbortHandler)
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		a = f.answer()
	}
	count(a.status) // before its client can send the next
	s.write(w, a)
}

var apiVersion = regexp.MustCompile(`^20\d\d-[01]\d-[0-3]\d(-preview)?$`)

// answer does what the front of ARM does, and hands over to the provider.
func (s *Server) answer(r *http.Request, body []byte, f *Fault) *answer {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		return fail(http.StatusUnauthorized, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
	case s.options.Token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(s.options.Token)) == 0:
		return fail(http.StatusUnauthorized, "InvalidAuthenticationToken", "The access token is invalid.")
	}
	version := r.URL.Query().Get("api-version")
	if version == "" {
		return fail(http.StatusBadRequest, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
	}
	if !apiVersion.MatchString(version) {
		return fail(http.StatusBadRequest, "InvalidApiVersionParameter", "The api-version '%s' is invalid.", version)
	}
	p, err := parsePath(r.URL.EscapedPath())
	if err != nil {
		return fail(http.StatusNotFound, "InvalidResourceType", "The local ARM does not know this: %v.", err)
	}
	scope := "group "
	if p.group == "" {
		scope = "subscription "
	}
	methods, ok := routes[scope+p.kind()]
	if !ok {
		return fail(http.StatusNotFound, "InvalidResourceType", "The resource type '%s' could not be found in the namespace '%s'.", p.kind(), p.types[0])
	}
	handle, ok := methods[r.Method]
	if !ok {
		return fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The HTTP method '%s' is not supported on '%s'.", r.Method, p.kind())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.world.hasSubscription(p.subscription) {
		return fail(http.StatusNotFound, "SubscriptionNotFound", "The subscription '%s' could not be found.", p.subscription)
	}
	return handle(s, &request{Request: r, path: p, body: body, fault: f})
}
