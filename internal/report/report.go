// Package report writes an analysis for people and programs: as text for a
// terminal, as JSON, and as one self-contained HTML page. It is the edge where
// names that strangers put into packets meet a screen, and where they are made
// harmless.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
)

// JSON writes one document for one analysis, and an array for several. Runes
// that a terminal would obey or hide are written as \u escapes, which mean the
// same to programs.
func JSON(w io.Writer, all ...*analysis.Analysis) error {
	var document bytes.Buffer
	enc := json.NewEncoder(&document)
	enc.SetIndent("", "  ")
	var err error
	if len(all) == 1 {
		err = enc.Encode(all[0])
	} else {
		err = enc.Encode(all)
	}
	if err != nil {
		return fmt.Errorf("write analysis: %w", err)
	}
	_, err = w.Write(escapeJSON(document.Bytes()))
	return err
}

// escapeJSON may escape wherever it finds something: outside of strings a
// document of ours has only ASCII.
func escapeJSON(document []byte) []byte {
	out := make([]byte, 0, len(document))
	for i := 0; i < len(document); {
		r, size := utf8.DecodeRune(document[i:])
		switch {
		case r < utf8.RuneSelf && r != 0x7F || shown(r) && r != utf8.RuneError:
			out = append(out, document[i:i+size]...)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
	}
	return out
}

// maxDocument is above what any analysis of ours comes to.
const maxDocument = 64 << 20

// ReadJSON reads one analysis that JSON wrote.
func ReadJSON(r io.Reader) (*analysis.Analysis, error) {
	a := &analysis.Analysis{}
	if err := json.NewDecoder(io.LimitReader(r, maxDocument)).Decode(a); err != nil {
		return nil, fmt.Errorf("read analysis: %w", err)
	}
	if a.Schema != analysis.Schema {
		return nil, fmt.Errorf("read analysis: schema is %q, want %q", a.Schema, analysis.Schema)
	}
	return a, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
