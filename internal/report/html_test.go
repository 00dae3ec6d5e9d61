package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
)

func parse(t *testing.T, page []byte) *html.Node {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// elements returns those with one of the names, in the page's order; all
// without a name.
func elements(root *html.Node, names ...string) []*html.Node {
	var out []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && (len(names) == 0 || slices.Contains(names, n.Data)) {
			out = append(out, n)
		}
	}
	return out
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// content is the text of n as a reader sees it.
func content(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func forEachPage(t *testing.T, f func(t *testing.T, e example, page []byte)) {
	for _, e := range examples() {
		t.Run(e.name, func(t *testing.T) { f(t, e, render(t, e)) })
	}
}

func TestPageIsSelfContained(t *testing.T) {
	allowed := []string{
		"html", "head", "meta", "title", "link", "style", "body", "header", "main", "section", "article", "footer",
		"h1", "h2", "h3", "p", "strong", "span", "code", "br", "wbr", "a", "ul", "li", "dl", "dt", "dd", "div", "figure", "figcaption",
		"details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td",
		"svg", "desc", "defs", "marker", "g", "path", "circle", "line", "rect", "text",
	}
	forEachPage(t, func(t *testing.T, _ example, page []byte) {
		root := parse(t, page)
		ids := map[string]bool{}
		for _, n := range elements(root) {
			if !slices.Contains(allowed, n.Data) {
				t.Errorf("page has an element %q", n.Data)
			}
			for _, a := range n.Attr {
				switch {
				case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "src", a.Key == "srcset", a.Key == "action":
					t.Errorf("<%s> has an attribute %s=%q", n.Data, a.Key, a.Val)
				case a.Key == "href" && n.Data == "link" && a.Val == "data:,":
				case a.Key == "href" && n.Data == "a" && linked.MatchString(a.Val): // a page of ours, beside this one
				case a.Key == "href" && !strings.HasPrefix(a.Val, "#"):
					t.Errorf("<%s> refers to %q", n.Data, a.Val)
				case a.Key == "marker-end" && !strings.HasPrefix(a.Val, "url(#ladder-"):
					t.Errorf("marker-end is %q", a.Val)
				case a.Key == "id" && ids[a.Val]:
					t.Errorf("id %q is there twice", a.Val)
				case a.Key == "id":
					ids[a.Val] = true
				}
			}
		}
		for _, n := range elements(root) {
			for _, a := range n.Attr {
				var wanted []string
				switch a.Key {
				case "href":
					if strings.HasPrefix(a.Val, "#") {
						wanted = []string{a.Val[1:]}
					}
				case "aria-labelledby":
					wanted = strings.Fields(a.Val)
				case "marker-end":
					wanted = []string{strings.TrimSuffix(strings.TrimPrefix(a.Val, "url(#"), ")")}
				}
				for _, id := range wanted {
					if !ids[id] && id != "data:," {
						t.Errorf("<%s %s> names %q, which is not there", n.Data, a.Key, id)
					}
				}
			}
		}
		if s := strings.ToLower(style); strings.Contains(s, "url(") || strings.Contains(s, "@import") {
			t.Error("the style sheet refers to something")
		}
	})
}

func TestPageForbidsEverythingButItsStyle(t *testing.T) {
	forEachPage(t, func(t *testing.T, _ example, page []byte) {
		root := parse(t, page)
		styles := elements(root, "style")
		if len(styles) != 1 {
			t.Fatalf("page has %d style sheets, want 1", len(styles))
		}
		sum := sha256.Sum256([]byte(styles[0].FirstChild.Data))
		want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		got := ""
		for _, m := range elements(root, "meta") {
			if attr(m, "http-equiv") == "Content-Security-Policy" {
				got = attr(m, "content")
			}
		}
		if !strings.HasPrefix(got, "default-src 'none'; ") || !strings.Contains(got, want) {
			t.Errorf("policy = %q, want default-src 'none' and %s", got, want)
		}
		if strings.Contains(got, "script") || strings.Contains(got, "http") {
			t.Errorf("policy = %q allows more than the style", got)
		}
	})
}

// A page of ours closes what it opens: the parser, which repairs, and a strict
// count of tags agree.
func TestPageIsWellFormed(t *testing.T) {
	void := []string{"meta", "link", "br", "wbr"}
	forEachPage(t, func(t *testing.T, _ example, page []byte) {
		z := html.NewTokenizer(bytes.NewReader(page))
		var open []string
		for {
			kind := z.Next()
			if kind == html.ErrorToken {
				break
			}
			token := z.Token()
			switch {
			case kind == html.StartTagToken && !slices.Contains(void, token.Data):
				open = append(open, token.Data)
			case kind == html.EndTagToken:
				if len(open) == 0 || open[len(open)-1] != token.Data {
					t.Fatalf("</%s> closes %v", token.Data, open)
				}
				open = open[:len(open)-1]
			}
		}
		if len(open) > 0 {
			t.Errorf("left open: %v", open)
		}
		if !utf8.Valid(page) {
			t.Error("page is not UTF-8")
		}
	})
}

func TestPageIsAccessible(t *testing.T) {
	forEachPage(t, func(t *testing.T, _ example, page []byte) {
		root := parse(t, page)
		if lang := attr(elements(root, "html")[0], "lang"); lang != "en" {
			t.Errorf("lang = %q", lang)
		}
		level := 0
		for i, h := range elements(root, "h1", "h2", "h3", "h4", "h5", "h6") {
			n := int(h.Data[1] - '0')
			if i == 0 != (n == 1) || n > level+1 {
				t.Errorf("heading %q (%s) follows a heading of level %d", content(h), h.Data, level)
			}
			if content(h) == "" {
				t.Errorf("empty %s", h.Data)
			}
			level = n
		}
		for _, table := range elements(root, "table") {
			if c := elements(table, "caption"); len(c) != 1 || content(c[0]) == "" {
				t.Error("table without a caption")
			}
			heads := elements(table, "th")
			columns := 0
			for _, th := range heads {
				switch attr(th, "scope") {
				case "col":
					columns++
				case "row":
				default:
					t.Errorf("table header %q has no scope", content(th))
				}
			}
			if columns == 0 {
				t.Error("table without column headers")
			}
		}
		for _, svg := range elements(root, "svg") {
			if attr(svg, "role") != "img" {
				t.Error("picture without role=img")
			}
			for id := range strings.FieldsSeq(attr(svg, "aria-labelledby")) {
				found := slices.ContainsFunc(elements(svg, "title", "desc"), func(n *html.Node) bool { return attr(n, "id") == id && content(n) != "" })
				if !found {
					t.Errorf("picture has no text %q", id)
				}
			}
			if attr(svg, "aria-labelledby") == "" {
				t.Error("picture without a name")
			}
		}
		for _, d := range elements(root, "details") {
			if d.FirstChild == nil || len(elements(d, "summary")) != 1 {
				t.Error("details without one summary")
			}
		}
	})
}

// What strangers wrote arrives as text, in the form that shows what it is.
func TestHostileNamesAreHarmless(t *testing.T) {
	a, about := hostile(300)
	page := render(t, one("hostile", a, about))
	for i, r := range string(page) {
		if r != '\n' && !shown(r) && r != '\u202f' {
			t.Fatalf("page has %U at %d: %q", r, i, page[max(0, i-40):i])
		}
	}
	root := parse(t, page)
	body := content(elements(root, "body")[0])
	for _, want := range []string{
		`<script>alert(1)</script>`, `"onmouseover="alert(1)`, `javascript:alert(1)`, `evil\u{202E}gnp.exe`, `zero\u{200B}width\u{FEFF}`,
		`\u{1B}[2J\u{1B}]0;owned\u{07}`, `a\u{0D}\u{0A}Verdict: healthy`, `{{.Policy}}`, `bad\u{FF}\u{FE}utf8`, `\u{5D0}\u{5D1} 1.2.3.4`, `&lt;b&gt;`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("page does not show %q", want)
		}
	}
	for _, n := range elements(root) {
		if n.DataAtom == atom.Script || n.DataAtom == atom.Img || n.DataAtom == atom.Iframe {
			t.Errorf("page has a <%s>", n.Data)
		}
	}
	if strings.Contains(body, strings.Repeat("w", maxPath+1)) {
		t.Error("a name is longer than any table")
	}
	if len(page) > 1<<20 {
		t.Errorf("page has %d bytes", len(page))
	}
}

// Every string of an analysis may come from a stranger, those that the
// detectors of today never fill with foreign text too.
func TestNoFieldIsTrusted(t *testing.T) {
	const attack = "</title><script src=//192.0.2.1></script>\u202e\x1b[2J"
	for _, e := range examples() {
		t.Run(e.name, func(t *testing.T) {
			bad := e
			bad.name = "poisoned_" + e.name
			poison(&bad.page, attack)
			poison(&bad.incident, attack)
			page := render(t, bad)
			if bytes.Contains(page, []byte("<script")) || bytes.ContainsRune(page, '\u202e') || bytes.ContainsRune(page, '\x1b') {
				t.Error("the attack arrived as it was")
			}
			ticket := renderMarkdown(t, bad)
			if i := bytes.IndexFunc(ticket, func(r rune) bool { return r != '\n' && r != '\u202f' && !shown(r) }); i >= 0 || bytes.Contains(ticket, []byte("<script")) {
				t.Errorf("the ticket has the attack as it was, or %q at %d", ticket[max(0, i):min(len(ticket), max(0, i)+20)], i)
			}
			if e.incident != nil {
				return
			}
			a := bad.page.Analysis
			var text bytes.Buffer
			if err := Text(&text, a); err != nil {
				t.Fatal(err)
			}
			if s := text.String(); strings.ContainsRune(s, '\u202e') || strings.ContainsRune(s, '\x1b') {
				t.Errorf("the text has the attack as it was:\n%s", s)
			}
			checkWidth(t, text.String())
			var document bytes.Buffer
			if err := JSON(&document, a); err != nil {
				t.Fatal(err)
			}
			if i := bytes.IndexFunc(document.Bytes(), func(r rune) bool { return r != '\n' && unicode.IsControl(r) || r == '\u202e' }); i >= 0 {
				t.Errorf("the JSON has %q at %d", document.Bytes()[i], i)
			}
		})
	}
}

func TestPageSaysWhatThereIsNot(t *testing.T) {
	tests := []struct {
		name     string
		analysis *analysis.Analysis
		want     []string
	}{
		{"healthy", healthyCapture(), []string{"No finding above info.", "No connection is drawn", "No conversation was seen."}},
		{"unreadable", unreadable(), []string{"The file could not be read", "There is no time line", "Nothing was counted.", "not a capture file"}},
		{"nothing", &analysis.Analysis{}, []string{"No finding above info."}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body := content(elements(parse(t, render(t, one(test.name, test.analysis, About{}))), "body")[0])
			for _, want := range test.want {
				if !strings.Contains(body, want) {
					t.Errorf("page does not say %q", want)
				}
			}
			if strings.Contains(body, "Who, why, until when") {
				t.Error("page has a case that there is not")
			}
		})
	}
}

// The page answers in its first lines what somebody who was woken asks.
func TestPageBeginsWithTheVerdict(t *testing.T) {
	a, about := partnerTLS()
	root := parse(t, render(t, one("partner_tls", a, about)))
	head := content(elements(root, "header")[0])
	for _, want := range []string{
		"Fault", "The TLS handshake is rejected", "the client 203.0.113.9", a.Verdict.Summary, a.Verdict.NextStep, "95 %, almost certain",
		"tls.handshake-reset, packets 7, 8, 31",
	} {
		if !strings.Contains(head, want) {
			t.Errorf("header does not say %q:\n%s", want, head)
		}
	}
	var order []string
	for _, h := range elements(root, "h2") {
		order = append(order, content(h))
	}
	want := []string{"Who, why, until when", "Time line", "The deciding packets", "Findings", "Conversations", "The capture, and what it leaves out", "Counters"}
	if !slices.Equal(order, want) {
		t.Errorf("sections = %q, want %q", order, want)
	}
}

func TestSameAnalysisSameBytes(t *testing.T) {
	for _, e := range examples() {
		first := render(t, e)
		for range 5 {
			if !bytes.Equal(first, render(t, e)) {
				t.Fatalf("%s: two pages of one analysis differ", e.name)
			}
		}
	}
}
