package report

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxForeign is how much of a name from a packet is printed, in runes.
const maxForeign = 100

// printable makes text that came from packets harmless in a terminal and in a
// ticket: control characters, line breaks, and what changes the direction of
// writing or hides, are shown as \u{202E}. The text is cut to a length that
// no table breaks at.
func printable(s string) string {
	var b strings.Builder
	n := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if n++; n > maxForeign {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError && size == 1:
			writeEscape(&b, rune(s[i]))
		case r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r) && !unicode.Is(unicode.Mn, r):
			b.WriteRune(r)
		default:
			writeEscape(&b, r)
		}
		i += size
	}
	return b.String()
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

// printableText is printable for sentences of ours that quote names: longer,
// and as harmless.
func printableText(s string) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(s) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(printable(word))
	}
	return b.String()
}
