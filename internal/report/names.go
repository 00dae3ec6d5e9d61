package report

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
)

// name is printable for names of hosts. Letters beyond ASCII are written as
// DNS carries them (RFC 5890, A-label), so that none can pose as another.
func name(s string) string { return printable(aLabel(s)) }

func aLabel(s string) string {
	const longest = 253 // octets of a name (RFC 1035)
	if ascii(s) || len(s) > longest || strings.IndexFunc(s, func(r rune) bool { return !inHost(r) }) >= 0 {
		return s // no name of a host: what hides in it is to be seen
	}
	if label, err := idna.Punycode.ToASCII(s); err == nil && ascii(label) {
		return label
	}
	return s
}

// inHost reports whether r may be in a name of a host before it is encoded.
func inHost(r rune) bool {
	return r == '-' || r == '.' || r == '_' || unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit)
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// A piece is a part of a sentence: our words, or a name that somebody chose
// who sent packets. Such a name is marked wherever it is shown, for people and
// for programs that read sentences: it is data, never an instruction.
type piece struct {
	Text    string
	Foreign bool
}

// A reader of sentences knows the names that an analysis has from packets, and
// the kinds of its findings, which look like names of hosts.
type reader struct{ names, kinds []string }

// foreignDetails are the details of findings that a detector copies from
// packets. Names with blanks are known by them.
var foreignDetails = []string{"name", "names", "sni", "subject", "issuer", "certificate", "certificateIssuer"}

func newReader(a *analysis.Analysis) reader {
	var r reader
	add := func(s string) {
		if s != "" && !slices.Contains(r.names, s) {
			r.names = append(r.names, s)
		}
	}
	for i := range a.Findings {
		f := &a.Findings[i]
		if f.Flow != nil {
			add(f.Flow.SNI)
		}
		for _, key := range foreignDetails {
			if text, ok := f.Detail[key].(string); ok && len(text) > 2 {
				add(text)
			}
		}
		r.kinds = append(r.kinds, string(f.Kind))
	}
	for i := range a.Conversations {
		add(a.Conversations[i].SNI)
	}
	r.sort()
	return r
}

// sort puts a name that contains another one first.
func (r *reader) sort() {
	slices.SortStableFunc(r.names, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}

// prose takes a sentence of ours apart, and makes it printable.
func (r reader) prose(s string) []piece {
	var out []piece
	left := maxProse
	put := func(text string, foreign bool) {
		if text == "" || left <= 0 {
			return
		}
		if n := utf8.RuneCountInString(text); n > left {
			text = escape(text, left)
		}
		left -= utf8.RuneCountInString(text)
		if left <= 0 {
			text += " …"
		}
		if n := len(out); n > 0 && !foreign && !out[n-1].Foreign {
			out[n-1].Text += text
			return
		}
		out = append(out, piece{text, foreign})
	}
	for s != "" {
		at, known := len(s), ""
		for _, n := range r.names {
			if i := strings.Index(s, n); i >= 0 && i < at {
				at, known = i, n
			}
		}
		r.words(s[:at], put)
		if known != "" {
			put(name(known), true)
		}
		s = s[min(len(s), at+len(known)):]
	}
	return out
}

// join is the text of a sentence, where marks have no place.
func join(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.Text)
	}
	return b.String()
}

// words puts the words of a sentence, where blanks are single.
func (r reader) words(s string, put func(text string, foreign bool)) {
	for i, word := range strings.Split(s, " ") {
		if i > 0 {
			put(" ", false)
		}
		before, core, behind := trim(word)
		if !strange(core) || slices.Contains(r.kinds, core) {
			put(printable(word), false)
			continue
		}
		put(before, false)
		put(name(core), true)
		put(behind, false)
	}
}

// trim takes the marks off that a sentence puts around a word.
func trim(word string) (before, core, behind string) {
	core = strings.TrimLeft(word, `("'`)
	before = word[:len(word)-len(core)]
	all := core
	core = strings.TrimRight(core, `,.;:!?)"'`)
	return before, core, all[len(core):]
}

// strange reports whether a word is none of ours: the name of a host, or what
// no sentence needs.
func strange(word string) bool {
	if host(word) || strings.Contains(word, "//") || strings.HasPrefix(strings.ToLower(word), "www.") {
		return true
	}
	dot, beyond := false, false
	for _, r := range word {
		switch {
		case r == '.':
			dot = true
		case r == '\u202f': // between our digits
		case r >= utf8.RuneSelf:
			if !shown(r) {
				return true
			}
			beyond = beyond || unicode.IsLetter(r)
		case r < ' ' || strings.ContainsRune("<>`{}[]\\|@#$*~^&=;\"\x7f", r):
			return true
		}
	}
	return dot && beyond
}

// ownEndings are those of files; no domain ends so.
var ownEndings = []string{"pcap", "pcapng", "cap", "gz", "json", "html", "conf"}

// host reports whether a word is a name with a dot, as browsers and chat
// programs make links of.
func host(word string) bool {
	word = strings.TrimSuffix(word, ".")
	if at := strings.LastIndexByte(word, ':'); at > 0 && strings.Trim(word[at+1:], "0123456789") == "" {
		word = word[:at]
	}
	at := strings.LastIndexByte(word, '.')
	if at <= 0 || len(word)-at < 3 || slices.Contains(ownEndings, word[at+1:]) {
		return false
	}
	for _, r := range word {
		if r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return strings.Trim(word[at+1:], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" || strings.HasPrefix(strings.ToLower(word[at+1:]), "xn--")
}

// defang writes names of hosts, URLs and public addresses so that nothing
// makes a link of them and nobody opens them by accident: example[.]com.
// Private addresses lead nowhere from where a ticket is read; they stay, so
// that they can be searched for.
func defang(s string) string {
	s = strings.ReplaceAll(s, "://", "[:]//")
	if addr, rest, ok := leadingAddr(s); ok {
		if addr.Is4() && public(addr) {
			return strings.ReplaceAll(s[:len(s)-len(rest)], ".", "[.]") + rest
		}
		return s
	}
	return strings.ReplaceAll(s, ".", "[.]")
}

// leadingAddr reads an address, with or without a port or prefix length.
func leadingAddr(s string) (addr netip.Addr, rest string, ok bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr(), s[strings.LastIndexByte(s, ':'):], true
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Addr(), s[strings.LastIndexByte(s, '/'):], true
	}
	addr, err := netip.ParseAddr(s)
	return addr, "", err == nil
}

// public reports whether an address is one of the internet's.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate()
}
