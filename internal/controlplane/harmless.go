package controlplane

import (
	"strings"
	"unicode"
)

// maxName is the longest that Azure lets a resource's ID be, roughly.
const maxName = 512

// Harmless makes a name that somebody gave to a resource fit for a sentence:
// one line, at most 512 bytes, and nothing that a terminal, a page or a ticket
// would obey, hide, or take for more than a name. What is not a letter, a digit or one of the
// marks that IDs and addresses are made of becomes an underscore.
func Harmless(s string) string {
	s = strings.ToValidUTF8(s, "_")
	if len(s) > maxName {
		s = strings.ToValidUTF8(s[:maxName], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r < unicode.MaxASCII && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'):
			return r
		case strings.ContainsRune(" ._-/:()*,…", r):
			return r
		case leftToRight(r):
			return r
		}
		return '_'
	}, s)
}

// leftToRight: letters and digits of other scripts are legal in the names of
// resource groups. Those that turn the direction of writing around are not
// worth the trouble.
func leftToRight(r rune) bool {
	if r <= unicode.MaxASCII || unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko) {
		return false
	}
	switch r {
	case '\u115F', '\u1160', '\u3164', '\uFFA0': // letters that nobody sees
		return false
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}
