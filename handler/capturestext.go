package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pcapwarden/pcapwarden/functions/captures"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/inert"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/report"
)

func printJSON(w io.Writer, answer []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, answer, "", "  "); err != nil {
		return fmt.Errorf("the answer is no JSON: %w", err)
	}
	b.WriteByte('\n')
	_, err := w.Write(inert.JSON(b.Bytes()))
	return err
}

// legible is text of others on one line of a terminal.
func legible(s string) string {
	return string(inert.JSON([]byte(strings.Join(strings.Fields(s), " "))))
}

func moment(t time.Time) string { return t.UTC().Format(time.DateTime + " UTC") }

// shortID is how much of an ID a table shows at least.
const shortID = 11

// printCaptures writes a list as a table of 80 columns.
func printCaptures(e environment, answer []byte) error {
	var l captures.List
	if err := json.Unmarshal(answer, &l); err != nil {
		return fmt.Errorf("read the list of captures: %w", err)
	}
	short := shortID
	seen := map[string]bool{}
	for n := 0; n < len(l.Captures); n++ {
		id := l.Captures[n].ID
		if part := id[:min(short, len(id))]; seen[part] && short < len(id) { // begin again, with more of each
			short, n, seen = short+1, -1, map[string]bool{}
		} else {
			seen[part] = true
		}
	}
	rows := [][]string{{"ID", "STATE", "ASKED (UTC)", "MACHINE", "PROFILE", "VERDICT"}}
	for _, c := range l.Captures {
		state := string(c.State)
		if c.Hold != nil && c.State != capture.Held {
			state += ", held"
		}
		rows = append(rows, []string{
			c.ID[:min(short, len(c.ID))], legible(state), c.Asked.UTC().Format("01-02 15:04"),
			legible(c.Target[strings.LastIndexByte(c.Target, '/')+1:]), legible(c.Profile), cmp.Or(legible(c.Cause), "-"),
		})
	}
	w := bufio.NewWriter(e.stdout)
	if len(l.Captures) == 0 {
		fmt.Fprintln(w, "no captures")
	} else {
		writeTable(w, rows, []int{3, 4, 5})
	}
	if l.More {
		fmt.Fprintf(w, "There are more: narrow the list with --state, --incident, --target or --since.\n")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if l.Unreadable != "" {
		return fmt.Errorf("records are left out: %s", l.Unreadable)
	}
	return nil
}

// roomy is how wide a column stays at least while another can give way.
const roomy = 7

// writeTable aligns rows within the page. Where they need more room, the
// elastic columns give way: the widest first, the last of them last.
func writeTable(w io.Writer, rows [][]string, elastic []int) {
	width := make([]int, len(rows[0]))
	total := 2 * (len(width) - 1)
	for i := range width {
		for _, row := range rows {
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
		total += width[i]
	}
	last := len(elastic) - 1
	for ; total > pageWidth; total-- {
		widest := elastic[0]
		for _, i := range elastic[:last] {
			if width[i] > width[widest] {
				widest = i
			}
		}
		if width[widest] <= roomy {
			widest = elastic[last]
		}
		if width[widest] <= 1 { // some other cell is longer than any of ours
			break
		}
		width[widest]--
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			if utf8.RuneCountInString(cell) > width[i] {
				cell = string([]rune(cell)[:width[i]-1]) + "…"
			}
			fmt.Fprintf(&line, "%-*s", width[i]+2, cell)
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// done are the words for what was done.
var done = map[string]string{
	"approve": "approved", "reject": "rejected", "stop": "asked to stop", "delete": "evidence deleted", "hold": "held", "release": "released",
}

// printCapture writes all that is known of one capture.
func printCapture(w io.Writer, answer []byte, command string) error {
	var c captures.Capture
	if err := json.Unmarshal(answer, &c); err != nil {
		return fmt.Errorf("read the capture: %w", err)
	}
	p := page{bufio.NewWriter(w)}
	if word := done[command]; word != "" {
		fmt.Fprintf(p, "%s: %s\n\n", c.ID, word)
		p.item(0, "state", 9, string(c.State))
		p.item(0, "machine", 9, legible(cmp.Or(c.Target, c.Sought)))
		if n := len(c.History); n > 0 {
			p.item(0, "recorded", 9, legible(c.History[n-1].What))
		}
		return p.Flush()
	}
	item := func(label, text string) {
		if text != "" {
			p.item(0, label, 14, legible(text))
		}
	}
	at := func(label string, t time.Time) {
		if !t.IsZero() {
			item(label, moment(t))
		}
	}
	item("capture", c.ID)
	item("incident", c.Incident)
	item("state", string(c.State))
	item("reason", c.Reason)
	item("alert", c.Alert.Rule+", "+c.Alert.Severity+", fired "+moment(c.Alert.Fired))
	item("machine", cmp.Or(c.Target, c.Sought))
	item("instances", strings.Join(c.Instances, ", "))
	item("profile", c.Profile)
	for _, f := range c.Filters {
		item("filter", filterText(f))
	}
	item("limits", limits(c.TimeLimit, c.TotalBytes, c.BytesPerPacket, c.Retention))
	item("approval", c.Approval.Mode+", owner "+c.Approval.Owner+": "+c.Approval.Reason)
	if d := c.Approval.Decision; d != nil {
		item("decided", moment(d.At)+" by "+d.By+": "+d.Reason)
	}
	at("asked", c.Asked)
	at("started", c.Started)
	at("stopped", c.Stopped)
	at("delete after", c.DeleteAfter)
	at("deleted", c.Deleted)
	if c.Hold != nil {
		item("held", moment(c.Hold.At)+" by "+c.Hold.By+": "+c.Hold.Reason)
	}
	for _, f := range c.Files {
		fmt.Fprintln(p)
		item("file", report.Bytes(f.Bytes)+", landed "+moment(f.Landed))
		item("sha256", f.SHA256)
		item("evidence", f.Vault)
		item("report", f.Report)
		item("verdict", f.Cause+", culprit "+f.Culprit)
	}
	fmt.Fprintln(p, "\nhistory (UTC)")
	for _, h := range c.History {
		p.item(2, h.At.UTC().Format(time.DateTime), 21, legible(h.What))
	}
	return p.Flush()
}

// filterText writes what a filter lets through.
func filterText(f policy.Filter) string {
	var text strings.Builder
	text.WriteString(f.Protocol)
	for _, part := range []struct{ name, value string }{
		{"local", f.LocalIP}, {"local port", f.LocalPort}, {"remote", f.RemoteIP}, {"remote port", f.RemotePort},
	} {
		if part.value != "" {
			text.WriteString(", " + part.name + " " + part.value)
		}
	}
	return text.String()
}
