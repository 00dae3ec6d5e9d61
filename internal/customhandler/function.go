package customhandler

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A Function is what the host invokes under a name. [HTTP], [Timer],
// [ServiceBus] and [EventGrid] build it.
type Function struct {
	Name string // the folder of its function.json, in the same case

	within  time.Duration
	limit   int64 // of the payload, in bytes
	http    bool
	trigger Trigger
	answer  Answer // of HTTP, see Wrap
	// read reads the value of the trigger's binding. A permanent error is
	// about the payload and answered like one of call, any other is about the
	// host's JSON.
	read func(s *scanner) (call, error)
}

// A Trigger is what invokes a function, in the words of OpenTelemetry's
// faas.trigger.
type Trigger string

// The triggers.
const (
	ByHTTP    Trigger = "http"
	ByTimer   Trigger = "timer"
	ByMessage Trigger = "pubsub"
)

// A call runs a function on what was read. The response is nil but for HTTP.
type call func(ctx context.Context, m metadata) (*Response, error)

// Within returns f with its own time limit, when that is below the limit of
// [Options]: an HTTP caller goes away sooner than the host does.
func (f Function) Within(d time.Duration) Function {
	f.within = d
	return f
}

// functionName is what the host accepts, but for "host".
var functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,127}$`)

func (f Function) validate() error {
	switch {
	case !functionName.MatchString(f.Name) || strings.EqualFold(f.Name, "host"):
		return fmt.Errorf("function %q: the host accepts no such name", f.Name)
	case f.read == nil:
		return fmt.Errorf("function %q: built by none of HTTP, Timer, ServiceBus and EventGrid", f.Name)
	case f.limit <= 0:
		return fmt.Errorf("function %q: the limit of its payload must be above 0", f.Name)
	case f.within < 0:
		return fmt.Errorf("function %q: the time limit must not be negative", f.Name)
	}
	return nil
}

// envelope is how many bytes an invocation may have in all. Encoding a payload
// twice as JSON makes up to seven bytes of one, and Metadata holds it again.
func (f Function) envelope() int64 {
	return 1<<20 + 16*f.limit
}
