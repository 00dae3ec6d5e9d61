package customhandler

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/pcapwarden/pcapwarden/internal/inert"
)

// The log lines of an invocation that travel in its answer: the host files
// them under the invocation, but keeps all in memory and loses their levels.
const (
	maxLines     = 100
	maxLine      = 1 << 10 // bytes
	maxLineBytes = 32 << 10
)

// LogHandler returns a handler that writes to out, which should be standard
// output (the host calls all of standard error an error). Records logged with
// the context of an invocation get its id, its function and its trace, and
// those of at least level Info travel in its answer as well.
func LogHandler(out slog.Handler) slog.Handler {
	return slog.NewMultiHandler(
		perRecord{base: func(ctx context.Context) slog.Handler { return identified(out, ctx) }},
		perRecord{base: answerLines},
	)
}

func identified(out slog.Handler, ctx context.Context) slog.Handler {
	inv := invocationOf(ctx)
	if inv == nil {
		return out
	}
	attrs := []slog.Attr{slog.String("invocation", inv.id), slog.String("function", inv.function)}
	if inv.traceParent != "" {
		attrs = append(attrs, slog.String("trace", inv.traceParent[3:35]))
	}
	return out.WithAttrs(attrs)
}

func answerLines(ctx context.Context) slog.Handler {
	if inv := invocationOf(ctx); inv != nil {
		return slog.NewTextHandler(&inv.lines, nil)
	}
	return slog.DiscardHandler
}

// perRecord chooses the handler of each record by its context, and only then
// applies the attributes and groups of the logger. Adding to the record
// instead would put the ids of the invocation into an open group.
type perRecord struct {
	base func(ctx context.Context) slog.Handler
	with []func(slog.Handler) slog.Handler
}

func (p perRecord) Enabled(ctx context.Context, level slog.Level) bool {
	return p.base(ctx).Enabled(ctx, level)
}

func (p perRecord) Handle(ctx context.Context, r slog.Record) error {
	h := p.base(ctx)
	for _, with := range p.with {
		h = with(h)
	}
	return h.Handle(ctx, r)
}

func (p perRecord) WithAttrs(attrs []slog.Attr) slog.Handler {
	return p.and(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (p perRecord) WithGroup(name string) slog.Handler {
	return p.and(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (p perRecord) and(with func(slog.Handler) slog.Handler) slog.Handler {
	p.with = append(p.with[:len(p.with):len(p.with)], with)
	return p
}

// lines collects log lines, each of one Write, up to the limits above.
type lines struct {
	mu      sync.Mutex
	kept    []string
	size    int
	dropped int
}

func (l *lines) Write(p []byte) (int, error) {
	line := cut(string(inert.JSON(bytes.TrimSuffix(p, []byte("\n")))), maxLine)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) == maxLines || l.size+len(line) > maxLineBytes {
		l.dropped++
		return len(p), nil
	}
	l.kept = append(l.kept, line)
	l.size += len(line)
	return len(p), nil
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := append([]string{}, l.kept...)
	if l.dropped > 0 {
		all = append(all, fmt.Sprintf("%d more lines are in the console log only", l.dropped))
	}
	return all
}
