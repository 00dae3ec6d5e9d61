package otlp

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// maxValue bounds a text among the attributes, in bytes.
const maxValue = 1 << 10

// plain makes harmless what log records quote, before it leaves the process:
// on standard output the writer does.
type plain struct{ to slog.Handler }

func (p plain) Enabled(ctx context.Context, level slog.Level) bool { return p.to.Enabled(ctx, level) }

func (p plain) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, telemetry.Plain(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(plainAttr(a))
		return true
	})
	return p.to.Handle(ctx, clean)
}

func (p plain) WithAttrs(attrs []slog.Attr) slog.Handler {
	all := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		all[i] = plainAttr(a)
	}
	return plain{p.to.WithAttrs(all)}
}

func (p plain) WithGroup(name string) slog.Handler { return plain{p.to.WithGroup(name)} }

func plainAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, telemetry.Plain(v.String()))
	case slog.KindGroup:
		var all []slog.Attr
		for _, in := range v.Group() {
			all = append(all, plainAttr(in))
		}
		return slog.GroupAttrs(a.Key, all...)
	case slog.KindAny:
		return slog.String(a.Key, telemetry.Plain(fmt.Sprint(v.Any())))
	}
	return slog.Attr{Key: a.Key, Value: v}
}

// leveled exports what the log that people read has, and no more.
type leveled struct {
	to    slog.Handler
	level slog.Handler
}

func (l leveled) Enabled(ctx context.Context, level slog.Level) bool {
	return l.level.Enabled(ctx, level) && l.to.Enabled(ctx, level)
}

func (l leveled) Handle(ctx context.Context, r slog.Record) error { return l.to.Handle(ctx, r) }

func (l leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leveled{l.to.WithAttrs(attrs), l.level}
}

func (l leveled) WithGroup(name string) slog.Handler { return leveled{l.to.WithGroup(name), l.level} }
