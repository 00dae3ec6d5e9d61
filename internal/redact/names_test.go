package redact

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/test/tshark"
)

// TestNoNameLeaks keeps the messages of every capture at hand, and looks for
// the names in them: those that tshark sees in the source.
func TestNoNameLeaks(t *testing.T) {
	tshark.Need(t)
	var names, kept atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d names were looked for, %d bytes of messages are kept", names.Load(), kept.Load())
		if names.Load() < 100 || kept.Load() < 10000 {
			t.Error("want more")
		}
	})
	for i, file := range recordings(t) {
		if strings.HasPrefix(file, "../analysis") && i%16 != 0 && !strings.Contains(file, "dns-s") {
			continue // much alike, and starting tshark takes longer than all else
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var bare, out bytes.Buffer
			if _, err := Run(t.Context(), bytes.NewReader(source), &bare, Options{Key: referenceKey, HidePlatform: true}); err != nil {
				t.Fatal(err)
			}
			record, err := Run(t.Context(), bytes.NewReader(source), &out, Options{Key: referenceKey, HidePlatform: true, HashNames: true})
			if err != nil {
				t.Fatal(err)
			}
			kept.Add(int64(out.Len() - bare.Len()))
			before := collect(packets(source))
			before.addresses(t, out.Bytes())
			for _, rec := range packets(out.Bytes()) {
				before.mustNotShare(t, &rec)
			}
			all := namesOf(t, file)
			lower := bytes.ToLower(out.Bytes())
			for _, name := range all {
				for label := range strings.SplitSeq(name, ".") {
					// What turns up in numbers, and words of the protocols.
					if len(label) < 5 || distinct([]byte(label)) == 1 || slices.Contains([]string{"in-addr", "local", "close", "chunked"}, label) {
						continue
					}
					names.Add(1)
					if bytes.Contains(lower, []byte(label)) {
						t.Errorf("%q of the name %q is in the derivative", label, name)
					}
				}
			}
			if out.Len() > bare.Len() {
				opens(t, out.Bytes(), file, record.Output.Packets)
			}
		})
	}
}

// namesOf asks tshark for the names in a capture, and for other text that must
// go, in lower case.
func namesOf(t *testing.T, file string) (names []string) {
	t.Helper()
	frames, _ := tshark.Fields(t, file, []string{"dns.qry.name", "dns.resp.name", "dns.cname", "dns.ns", "dns.ptr.domain_name", "dns.srv.target", "dns.soa.rname", "dns.txt",
		"tls.handshake.extensions_server_name", "http.host", "http.user_agent", "http.server", "http.request.uri", "http.cookie", "http.location", "dhcp.option.hostname"},
		"-E", "separator=/t", "-E", "aggregator=/s") // some sources are cut
	seen := map[string]bool{}
	for _, frame := range frames {
		for w := range strings.FieldsFuncSeq(strings.ToLower(strings.Join(frame, " ")), func(r rune) bool { return r <= ' ' || strings.ContainsRune("/,;:()?&=<>\"\\", r) }) {
			if len(w) > 4 && !seen[w] {
				seen[w] = true
				names = append(names, w)
			}
		}
	}
	return names
}

// What the analysis says of DNS and of hellos it says of a derivative with
// names, too.
func TestNamesKeepTheFinding(t *testing.T) {
	for _, test := range []struct {
		file  string
		kinds []string
	}{
		{"dns-first-resolver-dead", []string{"dns.fallback", "dns.resolver-unreachable"}},
		{"dns-nxdomain-storm", []string{"dns.failure"}},
		{"dns-servfail", []string{"dns.failure"}},
		{"dns-slow", []string{"dns.slow"}},
		{"dns-stale-lease", []string{"dns.resolver-unreachable"}},
		{"tls-certificate-expired", []string{"tls.alert"}},
		{"tls-unknown-ca", []string{"tls.alert"}},
		{"tls-version", []string{"tls.alert"}},
		{"server-thinks", []string{"app.slow-response"}},
	} {
		t.Run(test.file, func(t *testing.T) {
			source, err := os.ReadFile("../analysis/testdata/lab/" + test.file + ".pcap")
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if _, err := Run(t.Context(), bytes.NewReader(source), &out, Options{Key: referenceKey, HashNames: true}); err != nil {
				t.Fatal(err)
			}
			before, after := judged(t, source), judged(t, out.Bytes())
			if before.Verdict.Cause != after.Verdict.Cause || before.Verdict.Culprit != after.Verdict.Culprit {
				t.Errorf("verdict %s, %s; want %s, %s", after.Verdict.Cause, after.Verdict.Culprit, before.Verdict.Cause, before.Verdict.Culprit)
			}
			for _, kind := range test.kinds {
				was, is := packetsOf(before, kind), packetsOf(after, kind)
				if diff := cmp.Diff(was, is); diff != "" || len(was) == 0 {
					t.Errorf("packets of %s(-source +derivative):\n%s", kind, diff)
				}
			}
		})
	}
}

func judged(t *testing.T, capture []byte) *analysis.Analysis {
	t.Helper()
	a, err := analysis.Run(t.Context(), bytes.NewReader(capture), analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func packetsOf(a *analysis.Analysis, kind string) (frames []int64) {
	for _, f := range a.Findings {
		if string(f.Kind) == kind {
			frames = append(frames, f.Packets...)
		}
	}
	return frames
}
