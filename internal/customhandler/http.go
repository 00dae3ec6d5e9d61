package customhandler

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/inert"
)

// maxRequestPart bounds the headers, the query and the route parameters of a
// request, in bytes of JSON each.
const maxRequestPart = 256 << 10

// A Request is what a caller sent to the host's public endpoint. The function
// key is removed wherever the host or the platform's front end repeats it.
type Request struct {
	Method string
	Header http.Header
	Query  url.Values
	Params map[string]string // of the route
	Body   []byte            // as sent; empty also when the caller sent it chunked, which the host loses

	// Caller is where the request came from, as the last entry of
	// X-Forwarded-For says: the platform's front end in Azure, but anybody
	// where there is none. For logs, not for decisions.
	Caller netip.Addr
}

// A Response is what the caller gets.
type Response struct {
	Status int // 200 when 0; 3xx is refused
	Header map[string]string
	Body   any // marshalled as JSON; {} when nil
}

// An Answer answers a request.
type Answer func(ctx context.Context, r *Request) (*Response, error)

// Wrap returns f, an HTTP function, with another answer around its own: one
// that checks who calls, for example. It panics on any other function.
func (f Function) Wrap(around func(Answer) Answer) Function {
	if !f.http {
		panic("customhandler: only a function made by HTTP can be wrapped")
	}
	return HTTP(f.Name, f.limit, around(f.answer)).Within(f.within)
}

// HTTP is a function with an httpTrigger and an http output named "res". The
// body may have limit bytes, more is answered with 413.
//
// When answer returns an error the caller is told to try again (503), or not to
// (see [Permanent] and [Refused]).
func HTTP(name string, limit int64, answer Answer) Function {
	return Function{Name: name, limit: limit, http: true, trigger: ByHTTP, answer: answer, read: func(s *scanner) (call, error) {
		r, err := readRequest(s, limit)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, _ metadata) (*Response, error) { return answer(ctx, r) }, nil
	}}
}

func readRequest(s *scanner, limit int64) (*Request, error) {
	r := &Request{}
	seen := map[string]bool{}
	err := s.object(func(key string) error {
		switch key {
		case "Method", "Headers", "Query", "Params", "Body":
		default:
			return s.skip() // Url repeats the function key, Identities say nothing of the caller's token
		}
		if seen[key] {
			return s.errorf("%s twice in the request", key)
		}
		seen[key] = true

		var err error
		switch key {
		case "Method":
			var method []byte
			method, err = s.text(16)
			r.Method = string(method)
		case "Headers":
			var headers map[string][]string
			err = s.part(&headers)
			r.Header = headerOf(headers)
		case "Query":
			var query map[string]string
			err = s.part(&query)
			r.Query = queryOf(query)
		case "Params":
			err = s.part(&r.Params)
		case "Body":
			r.Body, err = s.body(limit)
		}
		if err != nil && !IsPermanent(err) {
			return fmt.Errorf("%s of the request: %w", key, err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if r.Method == "" {
		return nil, s.errorf("want a request with its Method; is the trigger an httpTrigger?")
	}
	r.Caller = callerOf(r.Header)
	if err := r.decodeBody(limit); err != nil {
		return nil, err
	}
	return r, nil
}

// part reads a map of strings. Some versions of the host put it into a string.
func (s *scanner) part(v any) error {
	raw, err := s.raw(maxRequestPart)
	if err != nil {
		return err
	}
	if raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		raw = json.RawMessage(text)
	}
	return json.Unmarshal(raw, v)
}

func (s *scanner) body(limit int64) ([]byte, error) {
	if c, err := s.peek(); err == nil && c == 'n' {
		return nil, s.literal("null")
	}
	body, err := s.text(int64(base64.StdEncoding.EncodedLen(int(limit))))
	if err == errTooLong {
		return nil, tooLarge(limit)
	}
	return body, err
}

// decodeBody undoes the base64 that the host makes of two content types, and
// refuses what no function of ours reads.
func (r *Request) decodeBody(limit int64) error {
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return Refused(http.StatusUnsupportedMediaType, fmt.Errorf("send the body without Content-Encoding, not %q", cut(e, 40)))
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media == "application/octet-stream" || strings.HasPrefix(media, "multipart/") {
		body, err := base64.StdEncoding.AppendDecode(nil, r.Body)
		if err != nil {
			return fmt.Errorf("the body of %s is not base64, which the host makes of it", media)
		}
		r.Body = body
	}
	if int64(len(r.Body)) > limit {
		return tooLarge(limit)
	}
	if bytes.IndexByte(r.Body, 0) >= 0 {
		return Permanent(fmt.Errorf("the body contains a NUL character; send JSON as UTF-8"))
	}
	return nil
}

func tooLarge(limit int64) error {
	return Refused(http.StatusRequestEntityTooLarge, fmt.Errorf("the body is larger than %d bytes; send less", limit))
}

// keyHeaders carry the function key: by design, or because they repeat the
// URL, whose query may have it.
var keyHeaders = []string{"X-Functions-Key", "X-Original-Url", "X-Waws-Unencoded-Url", "X-Rewrite-Url", "Referer"}

func headerOf(headers map[string][]string) http.Header {
	h := make(http.Header, len(headers))
	for name, values := range headers {
		for _, v := range values {
			h.Add(name, v)
		}
	}
	for _, name := range keyHeaders {
		h.Del(name)
	}
	return h
}

func queryOf(query map[string]string) url.Values {
	q := make(url.Values, len(query))
	for name, value := range query {
		if !strings.EqualFold(name, "code") {
			q.Set(name, value)
		}
	}
	return q
}

func callerOf(h http.Header) netip.Addr {
	all := strings.Join(h.Values("X-Forwarded-For"), ",")
	last := strings.TrimSpace(all[strings.LastIndexByte(all, ',')+1:])
	if ap, err := netip.ParseAddrPort(last); err == nil {
		return ap.Addr()
	}
	addr, _ := netip.ParseAddr(last)
	return addr
}

// httpOutput is the value of the output "res". The host reads statusCode, not
// status, and writes a string body as it is but re-prints an object.
type httpOutput struct {
	StatusCode string            `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
}

// status is the output's status code, 0 where there is no output.
func (o *httpOutput) status() int {
	if o == nil {
		return 0
	}
	n, _ := strconv.Atoi(o.StatusCode)
	return n
}

func (r *Response) output() (*httpOutput, error) {
	if r == nil {
		r = &Response{}
	}
	status := r.Status
	if status == 0 {
		status = http.StatusOK
	}
	if status < 200 || status > 599 || status/100 == 3 {
		return nil, fmt.Errorf("response has status %d; want 2xx, 4xx or 5xx", status)
	}
	body := []byte("{}")
	if r.Body != nil {
		var err error
		if body, err = json.Marshal(r.Body); err != nil {
			return nil, fmt.Errorf("marshal the response: %w", err)
		}
	}
	headers := map[string]string{"Content-Type": "application/json"}
	for name, value := range r.Header {
		headers[http.CanonicalHeaderKey(name)] = value
	}
	return &httpOutput{fmt.Sprint(status), headers, string(inert.JSON(body))}, nil
}

// problem is an RFC 9457 body.
type problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail"`
	Invocation string `json:"invocation,omitempty"`
}

func problemResponse(status int, detail, invocation string) *Response {
	return &Response{
		Status: status,
		Header: map[string]string{"Content-Type": "application/problem+json"},
		Body:   problem{"about:blank", http.StatusText(status), status, detail, invocation},
	}
}

// Problem is a refusal as an RFC 9457 body, for answers that need headers of
// their own; [Refused] does for all others.
func Problem(ctx context.Context, status int, detail string) *Response {
	return problemResponse(status, cut(detail, maxErrorText), InvocationID(ctx))
}

// responseTo is what the caller of an HTTP function gets for err. The text of
// an error that may go away is for the log: it tells of our insides.
func responseTo(err error, invocation string) *Response {
	if p, ok := asPermanent(err); ok {
		return problemResponse(p.status, errorText(err), invocation)
	}
	return problemResponse(http.StatusServiceUnavailable, "Not done now; send it again. The log of this invocation says why.", invocation)
}
