package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/inert"
)

// Schema is the version of the JSON that [JSON] writes.
const Schema = "pcapwarden.doctor/v1"

// JSON writes the findings as one document.
func JSON(w io.Writer, lines []Line) error {
	text, err := json.MarshalIndent(struct {
		Schema  string `json:"schema"`
		Healthy bool   `json:"healthy"`
		Checks  []Line `json:"checks"`
	}{Schema, Healthy(lines), append([]Line{}, lines...)}, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(inert.JSON(text), '\n'))
	return err
}

// Text writes one line for each finding: how it is, what it is about, what was
// found, and what to do.
func Text(w io.Writer, lines []Line) error {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%-7s  %-10s  %s: %s", l.Status, l.Check, flat(l.Subject), flat(l.What))
		if l.Do != "" {
			fmt.Fprintf(&b, ". To do: %s", flat(l.Do))
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// maxText bounds each part of a line, in bytes: what a service answers may be
// of any length.
const maxText = 600

// flat is text that stays on its line, whatever a service put into it.
func flat(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return strings.TrimSpace(s)
}
