package functionshost

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// hostFile is what is used of host.json.
type hostFile struct {
	functionTimeout time.Duration // 0: none
	initTimeout     time.Duration
	routePrefix     string

	executable       string
	arguments        []string
	workingDir       string
	stderrForErrors  bool // of standard error, every line is an error
	maxConcurrent    int  // messages of a queue at the same time
	maxLockRenewal   time.Duration
	fixedHandlerPort int // 0: any
}

// overridePrefix begins the settings that override host.json, with a double
// underscore between the keys.
const overridePrefix = "AzureFunctionsJobHost__"

func readHostFile(dir string, env environment) (hostFile, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "host.json"))
	if err != nil {
		return hostFile{}, fmt.Errorf("read host.json: %w", err)
	}
	tree := configTree{}
	if err := json.Unmarshal(raw, &tree); err != nil {
		return hostFile{}, fmt.Errorf("read host.json in %q: %w", dir, err)
	}
	for name, value := range env {
		if len(name) > len(overridePrefix) && strings.EqualFold(name[:len(overridePrefix)], overridePrefix) {
			tree.set(strings.Split(name[len(overridePrefix):], "__"), value)
		}
	}
	r := configReader{tree: tree}
	f := hostFile{
		functionTimeout: r.duration(30*time.Minute, "functionTimeout"),
		initTimeout:     r.duration(30*time.Second, "customHandler", "initializationTimeout"),
		routePrefix:     r.text("api", "extensions", "http", "routePrefix"),
		stderrForErrors: r.flag(true, "customHandler", "description", "useStdErrorStreamForErrorsOnly"),
		maxConcurrent:   r.number(16, "extensions", "serviceBus", "maxConcurrentCalls"),
		maxLockRenewal:  r.duration(5*time.Minute, "extensions", "serviceBus", "maxAutoLockRenewalDuration"),

		fixedHandlerPort: r.number(0, "customHandler", "port"),
	}
	if v := r.text("", "version"); v != "2.0" {
		r.wrong("version is %q; the host wants 2.0", v)
	}
	for _, key := range []string{"enableForwardingHttpRequest", "enableProxyingHttpRequest"} {
		if r.flag(false, "customHandler", key) {
			r.wrong("customHandler.%s is not modelled here", key)
		}
	}
	executable := env.expand(r.text("", "customHandler", "description", "defaultExecutablePath"), true)
	if executable == "" {
		r.wrong("customHandler.description.defaultExecutablePath is missing: the host would start no handler")
	}
	f.executable = executable
	if inApp := filepath.Join(dir, executable); !filepath.IsAbs(executable) && isFile(inApp) {
		f.executable = inApp
	}
	f.workingDir = filepath.Join(dir, r.text("", "customHandler", "description", "workingDirectory"))
	for _, key := range []string{"arguments", "workerArguments"} {
		// The host joins all with blanks; quoting is not modelled.
		f.arguments = append(f.arguments, strings.Fields(env.expand(strings.Join(r.list("customHandler", "description", key), " "), false))...)
	}
	if err := errors.Join(r.mistakes...); err != nil {
		return hostFile{}, fmt.Errorf("host.json in %q: %w", dir, err)
	}
	return f, nil
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// environment is the host's environment with the app settings, which win.
type environment map[string]string

func newEnvironment(settings map[string]string) environment {
	env := environment{}
	for _, kv := range os.Environ() {
		if name, value, ok := strings.Cut(kv, "="); ok {
			env[name] = value
		}
	}
	maps.Copy(env, settings)
	return env
}

func (env environment) list() []string {
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return list
}

var reference = regexp.MustCompile(`%([^%]+)%`)

// expand replaces %NAME% by variables; of the others it keeps the text or
// nothing, as the host does in different places.
func (env environment) expand(text string, keep bool) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		if value, ok := env[ref[1:len(ref)-1]]; ok || !keep {
			return value
		}
		return ref
	})
}

// resolve replaces %NAME% by app settings, which must exist.
func (env environment) resolve(text string) (string, error) {
	resolved := env.expand(text, true)
	if missing := reference.FindString(resolved); missing != "" {
		return "", fmt.Errorf("the app setting of %s is missing", missing)
	}
	return resolved, nil
}

// configTree is JSON as the host's configuration sees it: keys in any case,
// every value a string.
type configTree map[string]any

func (t configTree) set(path []string, value string) {
	for key := range t {
		if strings.EqualFold(key, path[0]) {
			path = append([]string{key}, path[1:]...)
		}
	}
	if len(path) == 1 {
		t[path[0]] = value
		return
	}
	child, ok := t[path[0]].(map[string]any)
	if !ok {
		child = map[string]any{}
		t[path[0]] = child
	}
	configTree(child).set(path[1:], value)
}

func (t configTree) find(path ...string) any {
	for key, value := range t {
		if !strings.EqualFold(key, path[0]) {
			continue
		}
		if len(path) == 1 {
			return value
		}
		child, _ := value.(map[string]any)
		return configTree(child).find(path[1:]...)
	}
	return nil
}

type configReader struct {
	tree     configTree
	mistakes []error
}

func (r *configReader) wrong(format string, args ...any) {
	r.mistakes = append(r.mistakes, fmt.Errorf(format, args...))
}

func (r *configReader) text(byDefault string, path ...string) string {
	switch v := r.tree.find(path...).(type) {
	case nil:
		return byDefault
	case string, bool, float64:
		return fmt.Sprint(v)
	}
	r.wrong("%s is no single value", strings.Join(path, "."))
	return byDefault
}

func (r *configReader) list(path ...string) []string {
	var list []string
	values, _ := r.tree.find(path...).([]any)
	for _, v := range values {
		list = append(list, fmt.Sprint(v))
	}
	return list
}

func (r *configReader) flag(byDefault bool, path ...string) bool {
	v, err := strconv.ParseBool(r.text(strconv.FormatBool(byDefault), path...))
	if err != nil {
		r.wrong("%s is neither true nor false", strings.Join(path, "."))
	}
	return v
}

func (r *configReader) number(byDefault int, path ...string) int {
	n, err := strconv.Atoi(r.text(strconv.Itoa(byDefault), path...))
	if err != nil || n < 0 {
		r.wrong("%s is no number from 0 on", strings.Join(path, "."))
	}
	return n
}

func (r *configReader) duration(byDefault time.Duration, path ...string) time.Duration {
	text := r.text("", path...)
	if text == "" {
		return byDefault
	}
	d, err := parseTimeSpan(text)
	if err != nil {
		r.wrong("%s: %w", strings.Join(path, "."), err)
	}
	return d
}

var timeSpan = regexp.MustCompile(`^(?:(\d{1,5})\.)?(\d{1,2}):(\d{2})(?::(\d{2}))?$`)

// parseTimeSpan reads [d.]hh:mm[:ss], as .NET writes time spans; -1 is
// unlimited, returned as 0.
func parseTimeSpan(text string) (time.Duration, error) {
	if text == "-1" {
		return 0, nil
	}
	m := timeSpan.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q is no time span; want hh:mm:ss", text)
	}
	var n [4]time.Duration
	for i := range n {
		v, _ := strconv.Atoi(m[i+1]) // digits or nothing
		n[i] = time.Duration(v)
	}
	if n[1] > 23 || n[2] > 59 || n[3] > 59 {
		return 0, fmt.Errorf("%q is no time span; want hh:mm:ss", text)
	}
	return n[0]*24*time.Hour + n[1]*time.Hour + n[2]*time.Minute + n[3]*time.Second, nil
}
