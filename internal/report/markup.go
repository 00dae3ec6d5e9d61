package report

import "strings"

// mdProse writes a sentence for a ticket.
func mdProse(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		if p.Foreign {
			b.WriteString(mdCode(p.Text))
		} else {
			b.WriteString(mdText(p.Text))
		}
	}
	return lineStart(b.String())
}

// mdText writes printable text: a word that markup, a mention, a link or a
// formula could be made of stands in code marks, and so does an address.
func mdText(s string) string {
	words := strings.Split(s, " ")
	for i, word := range words {
		before, core, behind := trim(word)
		_, _, addr := leadingAddr(core)
		switch {
		case core == "":
			words[i] = mdBackslash(word)
		case addr || strange(core):
			words[i] = mdBackslash(before) + mdCode(core) + mdBackslash(behind)
		default:
			words[i] = mdBackslash(word)
		}
	}
	return lineStart(strings.Join(words, " "))
}

// mdBackslash escapes the marks that are left in plain words.
func mdBackslash(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\`*_[]<>|#~!&", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// lineStart keeps a line from beginning as a list, a heading, a rule or a formula
// does.
func lineStart(s string) string {
	if s == "" {
		return s
	}
	switch s[0] {
	case '=', '+', '-':
		return `\` + s
	}
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if digits > 0 && digits < len(s) && (s[digits] == '.' || s[digits] == ')') && (digits+1 == len(s) || s[digits+1] == ' ') {
		return s[:digits] + `\` + s[digits:]
	}
	return s
}

// mdCode writes a name in code marks, defanged.
func mdCode(s string) string { return mdCodeRaw(defang(s)) }

// mdCodeRaw writes words of ours in code marks. No fence is long enough for a
// name with as many backquotes, and not every reader of Markdown knows longer
// ones: what ends code, a cell, or a mention is shown as what it is.
func mdCodeRaw(s string) string {
	if s == "" {
		return "–"
	}
	var b strings.Builder
	b.WriteByte('`')
	if strings.ContainsRune("=+-", rune(s[0])) {
		b.WriteByte('\'') // a spreadsheet that the table is pasted into would reckon
	}
	for _, r := range s {
		if strings.ContainsRune("`|@<>&", r) {
			writeEscape(&b, r)
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteByte('`')
	return b.String()
}
