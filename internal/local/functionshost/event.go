package functionshost

import (
	"context"
	"log/slog"
)

// A Kind says what an [Event] is about.
type Kind string

const (
	HandlerStarted Kind = "handler started"
	HandlerReady   Kind = "handler ready"
	HandlerLine    Kind = "handler line" // of standard output (Info) or error (Warn, Error)
	HandlerExited  Kind = "handler exited"
	HostStopped    Kind = "host stopped" // it gave up on the handler

	InvocationStarted Kind = "invocation started"
	InvocationLog     Kind = "invocation log" // a line of Logs in the handler's answer
	InvocationWarning Kind = "invocation warning"
	InvocationDone    Kind = "invocation done"
	InvocationFailed  Kind = "invocation failed"

	MessageReceived     Kind = "message received"
	MessageCompleted    Kind = "message completed"
	MessageAbandoned    Kind = "message abandoned"
	MessageDeadLettered Kind = "message dead-lettered"
	MessageSent         Kind = "message sent" // by an output binding
	ListenerTrouble     Kind = "listener trouble"
)

// An Event is something that the host did or saw, for people to read. Text
// may quote what the handler said.
type Event struct {
	Kind       Kind
	Level      slog.Level
	Function   string // when it concerns one
	Invocation string
	Message    string // id of a queue's message
	Text       string
}

// LogEvents returns a function for [Config.Observe] that logs every event.
func LogEvents(log *slog.Logger) func(Event) {
	return func(e Event) {
		var attrs []slog.Attr
		for _, a := range []slog.Attr{
			slog.String("function", e.Function), slog.String("invocation", e.Invocation),
			slog.String("message", e.Message), slog.String("text", e.Text),
		} {
			if a.Value.String() != "" {
				attrs = append(attrs, a)
			}
		}
		log.LogAttrs(context.Background(), e.Level, string(e.Kind), attrs...)
	}
}
