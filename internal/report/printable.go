package report

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxForeign = 100  // of a name from a packet, in runes
	maxPath    = 300  // of the name of a file
	maxProse   = 1500 // of a sentence of ours that quotes names
)

// printable makes text that came from packets harmless in a terminal, a
// ticket and a page: what controls, hides, or changes the direction of writing
// is shown as \u{202E}, and the text is cut to a length that no table breaks
// at.
func printable(s string) string { return escape(s, maxForeign) }

// printableText is printable for sentences of ours that quote names: longer,
// and as harmless. Only blanks separate the words of ours.
func printableText(s string) string {
	var b strings.Builder
	left := maxProse
	for word := range strings.SplitSeq(s, " ") {
		if word == "" {
			continue
		}
		if left <= 0 {
			b.WriteString(" …")
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		word = escape(word, min(maxForeign, left))
		left -= utf8.RuneCountInString(word) + 1
		b.WriteString(word)
	}
	return b.String()
}

// escape shows at most limit runes of s.
func escape(s string, limit int) string {
	var b strings.Builder
	for i := 0; i < len(s); limit-- {
		if limit <= 0 {
			b.WriteString("…")
			break
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			writeEscape(&b, rune(s[i]))
		case shown(r):
			b.WriteRune(r)
		default:
			writeEscape(&b, r)
		}
		i += size
	}
	return b.String()
}

// shown reports whether r may be written as it is. Letters of scripts that run
// from right to left are not: they pull the digits and dots beside them along,
// and so one address reads as another.
func shown(r rune) bool {
	switch {
	case r == ' ':
		return true
	case r == '\u2800', r == '\u3164', r == '\uFFA0', r == '\u115F', r == '\u1160':
		return false // blanks that call themselves letters and symbols
	case unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko,
		unicode.Samaritan, unicode.Mandaic), r >= 0x10800 && r <= 0x10FFF, r >= 0x1E800 && r <= 0x1EFFF:
		return false
	}
	return unicode.IsGraphic(r) && !unicode.In(r, unicode.Zs, unicode.Mn, unicode.Me)
}

func writeEscape(b *strings.Builder, r rune) {
	const digits = "0123456789ABCDEF"
	b.WriteString(`\u{`)
	shift := 4
	for r>>shift > 15 {
		shift += 4
	}
	for ; shift >= 0; shift -= 4 {
		b.WriteByte(digits[r>>shift&15])
	}
	b.WriteByte('}')
}

// columns is how wide a terminal shows s, which is printable.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n++
		if wide(r) {
			n++
		}
	}
	return n
}

// wide reports whether terminals give r two columns (Unicode's UAX 11, W and
// F, roughly).
func wide(r rune) bool {
	return r >= 0x1100 && (r <= 0x115F || r >= 0x2E80 && r <= 0xA4CF || r >= 0xA960 && r <= 0xA97F || r >= 0xAC00 && r <= 0xD7A3 ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0xFE30 && r <= 0xFE6F || r >= 0xFF00 && r <= 0xFF60 || r >= 0xFFE0 && r <= 0xFFE6 ||
		r >= 0x1F300 && r <= 0x1FAFF || r >= 0x20000 && r <= 0x3FFFD ||
		r >= 0x2300 && r <= 0x27BF || r >= 0x2B00 && r <= 0x2BFF || r >= 0x1F000 && r <= 0x1F2FF || r >= 0x16FE0 && r <= 0x1B2FF)
}
