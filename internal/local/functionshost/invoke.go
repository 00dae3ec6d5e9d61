package functionshost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

const (
	hostVersion = "4.1052.200"
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 64 << 20
	// maxRedirects is how often a redirect is followed.
	maxRedirects = 10
)

var errClosed = errors.New("the host is closed")

// errFunctionTimeout is why an invocation ends with its process.
var errFunctionTimeout = errors.New("functionTimeout")

// invoke sends one invocation to the handler and judges the answer. The
// handler is not told when whoever asked for it goes away.
func (h *Host) invoke(f *function, v value) (result, error) {
	id := newGUID()
	event := func(kind Kind, level slog.Level, text string) {
		h.observe(Event{Kind: kind, Level: level, Function: f.name, Invocation: id, Text: text})
	}
	failed := func(hangs bool, reason string) (result, error) {
		event(InvocationFailed, slog.LevelError, reason)
		return result{}, &InvocationError{f.name, id, reason, hangs}
	}
	if !h.begin() {
		return failed(false, errClosed.Error())
	}
	defer h.invocations.Done()
	started := time.Now()
	event(InvocationStarted, slog.LevelDebug, "")

	patience, cancel := context.WithTimeoutCause(context.Background(), 4*h.file.initTimeout, errors.New("no handler became ready"))
	process, err := h.worker.await(patience)
	cancel()
	if err != nil {
		return failed(false, err.Error())
	}
	ctx, cancel := context.Background(), func() {}
	if h.file.functionTimeout > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, h.file.functionTimeout, errFunctionTimeout)
	}
	defer cancel()
	a, redirects, err := h.post(ctx, id, f, v.body(f.trigger.Name))
	for _, text := range redirects {
		event(InvocationWarning, slog.LevelWarn, text)
	}
	if err != nil {
		if context.Cause(ctx) == errFunctionTimeout {
			h.worker.kill(process)
			return failed(true, fmt.Sprintf("took longer than functionTimeout, %v: the host killed the handler, and with it all it was running", h.file.functionTimeout))
		}
		return failed(false, err.Error())
	}
	r, reason, hangs := judge(f, a)
	if reason != "" {
		return failed(hangs, reason)
	}
	for _, line := range r.logs {
		event(InvocationLog, slog.LevelInfo, line)
	}
	for _, text := range r.warnings {
		event(InvocationWarning, slog.LevelWarn, text)
	}
	if err := h.send(ctx, f, r, event); err != nil {
		return failed(false, err.Error())
	}
	event(InvocationDone, slog.LevelInfo, time.Since(started).Round(time.Millisecond).String())
	return r, nil
}

// post sends the invocation chunked, as the host does, whose serializer knows
// no length. Redirects are followed as .NET does.
func (h *Host) post(ctx context.Context, id string, f *function, body []byte) (a answer, redirects []string, err error) {
	method, target := http.MethodPost, h.worker.url()+"/"+f.name
	for {
		var reader io.Reader = http.NoBody
		if method == http.MethodPost {
			reader = io.MultiReader(bytes.NewReader(body)) // of unknown length
		}
		req, err := http.NewRequestWithContext(ctx, method, target, reader)
		if err != nil {
			return a, redirects, err
		}
		req.Header.Set("X-Azure-Functions-HostVersion", hostVersion)
		req.Header.Set("X-Azure-Functions-InvocationId", id)
		req.Header.Set("User-Agent", "Azure-Functions-Host/"+hostVersion)
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/json; charset=utf-8")
		}
		resp, err := h.worker.client.Do(req)
		if err != nil {
			return a, redirects, fmt.Errorf("send the invocation: %w", err)
		}
		read, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		resp.Body.Close()
		if err != nil {
			return a, redirects, fmt.Errorf("read the answer: %w", err)
		}
		if len(read) > maxAnswer {
			return a, redirects, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
		}
		a = answer{resp.StatusCode, resp.Header.Get("Content-Type"), read}
		next, ok := redirected(resp)
		if !ok || len(redirects) == maxRedirects {
			return a, redirects, nil
		}
		text := fmt.Sprintf("answered with status %d: the host follows the redirect", resp.StatusCode)
		if resp.StatusCode < http.StatusTemporaryRedirect {
			method = http.MethodGet
			text += ", with GET and without the invocation"
		}
		redirects = append(redirects, text+"; match paths exactly")
		if next.Host != req.URL.Host || next.Scheme != "http" {
			return a, redirects, errors.New("the redirect leads away from the handler; it is not followed here")
		}
		target = next.String()
	}
}

func redirected(resp *http.Response) (*url.URL, bool) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		to, err := resp.Location()
		return to, err == nil
	}
	return nil, false
}

// send sends the messages of Service Bus outputs, one after the other: what
// was sent before a failure stays sent.
func (h *Host) send(ctx context.Context, f *function, r result, event func(Kind, slog.Level, string)) error {
	for _, b := range f.outputs {
		raw, ok := r.output(b.Name)
		if !ok || !b.is("serviceBus") {
			continue
		}
		messages, warnings := messagesOf(b, raw)
		for _, text := range warnings {
			event(InvocationWarning, slog.LevelWarn, text)
		}
		for _, m := range messages {
			if err := h.config.Outputs[b.QueueName](ctx, []byte(m)); err != nil {
				return fmt.Errorf("send output %q: %w", b.Name, err)
			}
			event(MessageSent, slog.LevelInfo, b.QueueName)
		}
	}
	return nil
}
