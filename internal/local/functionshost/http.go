package functionshost

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxBody is what the host takes of a caller (ScriptConstants.cs).
const maxBody = 100 << 20

// ServeHTTP answers callers of HTTP functions and of
// POST /admin/functions/NAME.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	segments := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(segments) == 3 && strings.EqualFold(segments[0], "admin") && strings.EqualFold(segments[1], "functions") {
		h.serveAdmin(w, r, segments[2])
		return
	}
	var best *function
	var params map[string]string
	for _, f := range h.functions {
		if !f.trigger.is("httpTrigger") || !f.allows(r.Method) {
			continue
		}
		if p, ok := matchRoute(h.route(f), segments); ok && (best == nil || len(p) < len(params)) {
			best, params = f, p
		}
	}
	if best == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	h.serveFunction(w, r, best, params)
}

// route is the path of an HTTP function, in segments.
func (h *Host) route(f *function) []string {
	route := f.name
	if f.trigger.Route != nil {
		route = *f.trigger.Route
	}
	return strings.Split(strings.Trim(h.file.routePrefix+"/"+strings.Trim(route, "/"), "/"), "/")
}

func (f *function) allows(method string) bool {
	return len(f.trigger.Methods) == 0 ||
		slices.ContainsFunc(f.trigger.Methods, func(m string) bool { return strings.EqualFold(m, method) })
}

// matchRoute matches segments, in any case, {name} for any one segment, and
// {name?} at the end for one or none: a parameter that is not given is not
// among the params. Constraints and defaults are not modelled.
func matchRoute(route, segments []string) (params map[string]string, ok bool) {
	if len(segments) > len(route) {
		return nil, false
	}
	params = map[string]string{}
	for i, want := range route {
		name, isParam := strings.CutPrefix(want, "{")
		name, optional := strings.CutSuffix(strings.TrimSuffix(name, "}"), "?")
		switch {
		case i >= len(segments):
			if !isParam || !optional {
				return nil, false
			}
		case isParam:
			if segments[i] == "" {
				return nil, false
			}
			params[name] = segments[i]
		case !strings.EqualFold(want, segments[i]):
			return nil, false
		}
	}
	return params, true
}

// hasKey says whether the caller sent one of the keys.
func hasKey(r *http.Request, keys ...string) bool {
	given := r.Header.Get("X-Functions-Key")
	if given == "" {
		given = r.URL.Query().Get("code")
	}
	for _, key := range keys {
		if subtle.ConstantTimeCompare([]byte(given), []byte(key)) == 1 {
			return true
		}
	}
	return false
}

// serveAdmin starts a function by hand, and answers before it ran.
func (h *Host) serveAdmin(w http.ResponseWriter, r *http.Request, name string) {
	if !hasKey(r, h.config.MasterKey) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	f, ok := h.functions[strings.ToLower(name)]
	var body struct{ Input string }
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case f.trigger.is("httpTrigger"):
		http.Error(w, "call an HTTP function by its URL", http.StatusBadRequest)
	case json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body) != nil:
		http.Error(w, `want {"input":"..."}`, http.StatusBadRequest)
	default:
		go h.Fire(context.WithoutCancel(r.Context()), f.name, []byte(body.Input)) // events tell how it went
		w.WriteHeader(http.StatusAccepted)
	}
}

func (h *Host) serveFunction(w http.ResponseWriter, r *http.Request, f *function, params map[string]string) {
	allowed := true
	switch strings.ToLower(f.trigger.AuthLevel) {
	case "anonymous":
	case "admin":
		allowed = hasKey(r, h.config.MasterKey)
	default:
		allowed = hasKey(r, h.config.FunctionKey, h.config.MasterKey)
	}
	if !allowed {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	} else if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	result, err := h.invoke(f, requestValue(f, r, params, body))
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError) // which an action group does not try again
		return
	}
	if result.http == nil { // no http output
		w.WriteHeader(http.StatusNoContent)
		return
	}
	maps.Copy(w.Header(), result.http.header)
	w.WriteHeader(result.http.status)
	w.Write(result.http.body)
}

// requestValue is the request as the host wraps it. A chunked body is lost, as
// in the host.
func requestValue(f *function, r *http.Request, params map[string]string, body []byte) value {
	headers := map[string][]string{"Host": {r.Host}}
	flat := map[string]string{"Host": r.Host}
	if r.ContentLength >= 0 && r.Method != http.MethodGet {
		headers["Content-Length"] = []string{strconv.FormatInt(r.ContentLength, 10)}
	}
	for name, values := range r.Header {
		headers[name] = values
		flat[name] = strings.Join(values, ",")
	}
	query := map[string]string{}
	for name, values := range r.URL.Query() {
		query[name] = strings.Join(values, ",")
	}
	req := struct {
		Url        string
		Method     string
		Query      map[string]string
		Headers    map[string][]string
		Params     map[string]string
		Identities []struct{}
		Body       *string `json:",omitempty"`
	}{"http://" + r.Host + r.URL.RequestURI(), r.Method, query, headers, params, []struct{}{}, nil}
	v := value{metadata: newMetadata(f.name)}
	m := &v.metadata
	m.set("Query", jsonOf(query))
	m.set("Headers", jsonOf(flat))
	for _, values := range []map[string]string{params, query} {
		for name, value := range values {
			m.set(name, doubled(value))
		}
	}
	if r.ContentLength > 0 {
		text := strings.TrimPrefix(strings.ToValidUTF8(string(body), "\uFFFD"), "\uFEFF")
		media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if media == "application/octet-stream" || strings.HasPrefix(media, "multipart/") {
			text = base64.StdEncoding.EncodeToString(body)
		} else {
			m.merge([]byte(text))
		}
		req.Body = &text
	}
	v.data = jsonOf(req)
	return v
}
