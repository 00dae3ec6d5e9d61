package functionshost

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// maxLine bounds a line of the handler's output, in bytes; a longer one is
// split.
const maxLine = 64 << 10

// lineWriter makes an event of every line that the handler writes. No line
// belongs to an invocation: the host can not tell either.
type lineWriter struct {
	level   func(line string) slog.Level
	observe func(Event)

	mu      sync.Mutex
	partial []byte
	tail    []string // the last three lines
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		w.partial = append(w.partial, p[:i]...)
		w.emit()
		p = p[i+1:]
	}
	w.partial = append(w.partial, p...)
	if len(w.partial) > maxLine {
		w.emit()
	}
	return n, nil
}

func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.partial) > 0 {
		w.emit()
	}
}

func (w *lineWriter) emit() {
	line := strings.ToValidUTF8(strings.TrimSuffix(string(w.partial), "\r"), "\uFFFD")
	w.partial = w.partial[:0]
	w.tail = append(w.tail, line)
	w.tail = w.tail[max(0, len(w.tail)-3):]
	w.observe(Event{Kind: HandlerLine, Level: w.level(line), Text: line})
}

// last is what the host adds to the error of an exit.
func (w *lineWriter) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.tail) == 0 {
		return ""
	}
	return ": " + strings.Join(w.tail, " | ")
}

// stderrLevel is how the host reads standard error: all errors but for
// warnings, or, by an option, only what looks like an error.
func stderrLevel(errorsOnly bool) func(string) slog.Level {
	return func(line string) slog.Level {
		lower := strings.ToLower(line)
		if errorsOnly {
			if strings.Contains(lower, "warn") {
				return slog.LevelWarn
			}
			return slog.LevelError
		}
		for _, word := range []string{"error", "fail", "severe", "unhandled exception"} {
			if strings.Contains(lower, word) {
				return slog.LevelError
			}
		}
		return slog.LevelInfo
	}
}
