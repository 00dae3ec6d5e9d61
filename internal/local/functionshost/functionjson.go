package functionshost

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A binding of function.json. The host ignores properties it does not know.
type binding struct {
	Type      string
	Direction string
	Name      string
	DataType  string

	// httpTrigger
	AuthLevel string
	Methods   []string
	Route     *string

	// timerTrigger
	Schedule     string
	UseMonitor   *bool
	RunOnStartup bool

	// serviceBusTrigger, serviceBus
	QueueName   string
	TopicName   string
	Cardinality string
}

func (b binding) is(typ string) bool { return strings.EqualFold(b.Type, typ) }

// function is a folder with a function.json.
type function struct {
	name     string
	trigger  binding
	outputs  []binding
	schedule schedule     // of a timerTrigger
	retry    *retryPolicy // of a timerTrigger
}

// output is the binding of a type; ok is false when there is none.
func (f *function) output(typ string) (b binding, ok bool) {
	i := slices.IndexFunc(f.outputs, func(b binding) bool { return b.is(typ) })
	if i < 0 {
		return binding{}, false
	}
	return f.outputs[i], true
}

// The host's rules for names (Utility.cs).
var (
	functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,127}$`)
	bindingName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,127}$`)
)

// readFunctions reads the function.json of each direct child of dir, and
// reports every mistake: the host would leave that function out.
func readFunctions(dir string, env environment) ([]*function, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the functions: %w", err)
	}
	var (
		functions []*function
		mistakes  []error
	)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name(), "function.json")
		if !isFile(path) || isDisabled(e.Name(), env) {
			continue
		}
		f, err := readFunction(e.Name(), path, env)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", filepath.Join(e.Name(), "function.json"), err))
		}
		if f != nil {
			functions = append(functions, f)
		}
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, fmt.Errorf("the host would leave functions out: %w", err)
	}
	if len(functions) == 0 {
		return nil, fmt.Errorf("no folder of %q has a function.json: the host would not start the handler", dir)
	}
	return functions, nil
}

func isDisabled(name string, env environment) bool {
	v := env["AzureWebJobs."+name+".Disabled"]
	return strings.EqualFold(v, "true") || v == "1"
}

func readFunction(name, path string, env environment) (*function, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Disabled   bool
		ScriptFile string
		Bindings   []binding
		Retry      *retryJSON
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, err
	}
	if file.Disabled {
		return nil, nil
	}
	f := &function{name: name}
	var mistakes []error
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if !functionName.MatchString(name) || strings.EqualFold(name, "host") {
		wrong("%q is no name for a function", name)
	}
	if file.ScriptFile != "" && !isFile(filepath.Join(filepath.Dir(path), file.ScriptFile)) {
		wrong("scriptFile %q does not exist", file.ScriptFile)
	}
	names := map[string]bool{}
	triggers := 0
	for _, b := range file.Bindings {
		if !bindingName.MatchString(b.Name) && b.Name != "$return" {
			wrong("%q is no name for a binding; want letters and digits", b.Name)
		}
		if folded := strings.ToLower(b.Name); names[folded] {
			wrong("two bindings are named %q", b.Name)
		} else {
			names[folded] = true
		}
		if err := b.check(env); err != nil {
			wrong("binding %q: %w", b.Name, err)
		}
		if strings.HasSuffix(strings.ToLower(b.Type), "trigger") {
			f.trigger = b
			triggers++
		} else if strings.EqualFold(b.Direction, "out") {
			f.outputs = append(f.outputs, b)
		}
	}
	if triggers != 1 {
		wrong("it has %d triggers; want one", triggers)
	} else if err := f.prepare(env, file.Retry); err != nil {
		wrong("binding %q: %w", f.trigger.Name, err)
	}
	for i := range f.outputs {
		f.outputs[i].QueueName, _ = env.resolve(f.outputs[i].QueueName) // checked above
	}
	return f, errors.Join(mistakes...)
}

// directions are of the binding types that are modelled.
var directions = map[string]string{
	"httptrigger": "in", "timertrigger": "in", "servicebustrigger": "in", "eventgridtrigger": "in",
	"http": "out", "servicebus": "out",
}

func (b binding) check(env environment) error {
	want, ok := directions[strings.ToLower(b.Type)]
	switch {
	case !ok:
		return fmt.Errorf("type %q is not modelled here", b.Type)
	case !strings.EqualFold(b.Direction, want):
		return fmt.Errorf("direction is %q; want %q", b.Direction, want)
	case b.is("http") && b.Name == "$return":
		return errors.New("named $return, its value would go through the base64 guess; call it res")
	case b.TopicName != "" || b.Cardinality != "" && !strings.EqualFold(b.Cardinality, "one"):
		return errors.New("topics and batches are not modelled here")
	case b.is("serviceBus") || b.is("serviceBusTrigger"):
		if queue, err := env.resolve(b.QueueName); err != nil || queue == "" {
			return errors.Join(errors.New("queueName is missing"), err)
		}
	}
	return nil
}

// prepare resolves the settings of the trigger.
func (f *function) prepare(env environment, retry *retryJSON) (err error) {
	switch {
	case f.trigger.is("timerTrigger"):
		text, err := env.resolve(f.trigger.Schedule)
		if err != nil {
			return fmt.Errorf("schedule: %w", err)
		}
		if f.schedule, err = parseSchedule(text); err != nil {
			return fmt.Errorf("schedule: %w", err)
		}
		if f.retry, err = retry.policy(); err != nil {
			return fmt.Errorf("retry: %w", err)
		}
	case f.trigger.is("serviceBusTrigger"):
		if f.trigger.QueueName, err = env.resolve(f.trigger.QueueName); err != nil {
			return err
		}
	case f.trigger.is("httpTrigger"):
		switch strings.ToLower(f.trigger.AuthLevel) {
		case "", "function", "anonymous", "admin":
		default:
			return fmt.Errorf("authLevel is %q; want anonymous, function or admin", f.trigger.AuthLevel)
		}
	}
	return nil
}

type retryJSON struct {
	Strategy                                        string
	MaxRetryCount                                   int
	DelayInterval, MinimumInterval, MaximumInterval string
}

// retryPolicy repeats a failed timer.
type retryPolicy struct {
	max              int // -1: for ever
	delay, delayMost time.Duration
}

func (r *retryJSON) policy() (*retryPolicy, error) {
	if r == nil {
		return nil, nil
	}
	p := &retryPolicy{max: r.MaxRetryCount}
	var err, errMost error
	switch strings.ToLower(r.Strategy) {
	case "fixeddelay":
		p.delay, err = parseTimeSpan(r.DelayInterval)
		p.delayMost = p.delay
	case "exponentialbackoff":
		p.delay, err = parseTimeSpan(r.MinimumInterval)
		p.delayMost, errMost = parseTimeSpan(r.MaximumInterval)
	default:
		err = fmt.Errorf("strategy is %q; want fixedDelay or exponentialBackoff", r.Strategy)
	}
	return p, errors.Join(err, errMost)
}

// wait is the time before retry n, from 1 on. The host adds some jitter to
// exponential back-off.
func (p *retryPolicy) wait(n int) time.Duration {
	d := p.delay
	for range n - 1 {
		if d >= p.delayMost {
			break
		}
		d *= 2
	}
	return min(d, max(p.delay, p.delayMost))
}
