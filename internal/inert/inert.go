// Package inert keeps text that somebody else chose from doing anything where
// it is shown: in a terminal, on a page, in a log, in a template.
package inert

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON returns JSON text that means the same, and in which markup, expressions
// of template and logging languages, controls and what turns the direction of
// writing around stand as \uXXXX. Other text is changed in the same way, which
// shows what was there.
//
// The text is returned itself where nothing has to be done.
func JSON(text []byte) []byte {
	var out []byte
	kept := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if harmless(r, size, text[i:]) {
			i += size
			continue
		}
		out = append(out, text[kept:i]...)
		switch {
		case r == '\r': // a blank between values; in one it is not allowed
			out = append(out, ' ')
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
		kept = i
	}
	if kept == 0 {
		return text
	}
	return append(out, text[kept:]...)
}

// harmless reports whether the first rune of text may stay.
func harmless(r rune, size int, text []byte) bool {
	switch {
	case r == utf8.RuneError && size == 1: // broken
		return false
	case r == '<', r == '>':
		return false
	case r == '$':
		return len(text) == 1 || text[1] != '{'
	case r == '\n', r == '\t': // between values
		return true
	}
	return unicode.IsPrint(r)
}

// Writer returns a writer of whole JSON texts, such as the lines of a log,
// that writes them to w as [JSON] has them.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ to io.Writer }

func (w writer) Write(p []byte) (int, error) {
	text := JSON(p)
	n, err := w.to.Write(text)
	if n == len(text) {
		return len(p), err
	}
	return min(n, len(p)), err
}
