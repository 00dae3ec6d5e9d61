package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// expect records a case whose session has ended and whose file is awaited, and
// returns the file's name in the landing container.
func (s *stand) expect(t *testing.T, id string, change func(*capture.Case)) string {
	t.Helper()
	now := time.Now().UTC()
	name := "captures/" + id + ".cap"
	c := capture.Case{
		Schema: capture.CaseSchema, ID: id, Incident: "inc-" + id, State: capture.Ended,
		Alert: capture.AlertRef{ID: "alert", Rule: "rule", Fired: now}, Profile: "partner-tls",
		Target: s.options.Scenario.Machines[0].ID, TargetType: "AzureVM", Region: s.options.Scenario.Region,
		StorageID: s.options.Scenario.Landing.ID, StoragePath: s.options.Scenario.Landing.Endpoint + "/" + evidence.Container + "/" + name,
		Asked: now, Started: now, Stopped: now, TimeLimit: time.Minute, Retention: time.Hour, DeleteAfter: now.Add(time.Hour),
	}
	if change != nil {
		change(&c)
	}
	if err := s.Ledger.ExpectAt(t.Context(), c.StoragePath, c); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Ledger.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return name
}

// put writes a file where the agent would, over one that is there.
func (s *stand) put(t *testing.T, name string, content []byte) evidence.Info {
	t.Helper()
	info, err := s.Landing.(*folder.Files).Put(t.Context(), name, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// findings waits for the case's file to be analysed n times.
func (s *stand) findings(t *testing.T, id string, n int) capture.Case {
	t.Helper()
	var c capture.Case
	eventually(t, "findings of "+id, func() bool {
		var err error
		c, err = s.Ledger.Case(t.Context(), "inc-"+id, id)
		return err == nil && len(c.Files) >= n
	})
	return c
}

// checkVault holds what the vault has of a file against what landed.
func (s *stand) checkVault(t *testing.T, f capture.File, content []byte) {
	t.Helper()
	sum := sha256.Sum256(content)
	kept, err := os.ReadFile(filepath.Join(s.options.Dir, "vault", filepath.FromSlash(f.Vault)))
	if err != nil || !bytes.Equal(kept, content) || f.SHA256 != hex.EncodeToString(sum[:]) || f.Bytes != int64(len(content)) {
		t.Errorf("%s: the vault has %d bytes, the record %d of SHA-256 %s; landed were %d (%v)", f.Name, len(kept), f.Bytes, f.SHA256, len(content), err)
	}
}

// emptyCapture is a capture without a packet.
func emptyCapture(t *testing.T, snap int) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := pcap.NewWriter(&b, pcap.LinkTypeEthernet, snap); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestHostileFiles has odd files land where captures are awaited.
func TestHostileFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a few seconds")
	}
	stand := startStand(t, localOptions(t, "partner-tls"))
	now := time.Now().UTC().Format(time.RFC3339Nano)

	t.Run("H29 no captures", func(t *testing.T) {
		files := map[string]string{
			"text": "this is no capture\n" + tricks, "html": "<!DOCTYPE html><html><script>alert(1)</script></html>",
			"elf": "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 100), "zip": "PK\x03\x04" + strings.Repeat("\x00", 100),
			"short": "\xd4\xc3\xb2", "magic": "\xd4\xc3\xb2\xa1",
			"empty": "", // and it stays so
		}
		for id, content := range files {
			name := stand.expect(t, id, func(c *capture.Case) { c.Stopped = c.Stopped.Add(-5 * time.Minute) })
			if err := stand.Land(t.Context(), name, strings.NewReader(content), int64(len(content))); err != nil {
				t.Fatal(err)
			}
		}
		for id, content := range files {
			stand.checkVault(t, stand.findings(t, id, 1).Files[0], []byte(content))
		}
		stand.idle(t)
		told := stand.told(t, incident.TypeFinding)
		for id := range files {
			n := 0
			for _, m := range told {
				if strings.Contains(m, `"inc-`+id+`"`) && strings.Contains(m, "capture.unreadable") {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s: %d messages say that it is unreadable, want 1", id, n)
			}
		}
	})

	t.Run("F24 F25 F26 versions", func(t *testing.T) {
		name := stand.expect(t, "versions", nil)
		before := len(stand.told(t, incident.TypeSecurity))
		empty := stand.put(t, name, nil)
		stand.send(t, "empty", stand.occurrence(name, empty.ETag, map[string]any{"data.contentLength": 0}))
		stand.idle(t)
		if stand.dead(t, "empty") {
			t.Error("the event of the empty file is a dead letter; the file will be written")
		}
		content := emptyCapture(t, 100)
		info := stand.put(t, name, content)
		for n := range 10 {
			stand.send(t, fmt.Sprintf("again-%d", n), stand.occurrence(name, info.ETag, nil))
		}
		stand.send(t, "late", stand.occurrence(name, empty.ETag, map[string]any{"data.sequencer": "0"}))
		c := stand.findings(t, "versions", 1)
		stand.idle(t)
		stand.checkVault(t, c.Files[0], content)
		if n := len(stand.told(t, incident.TypeSecurity)); n != before {
			t.Errorf("%d security messages about events that came late or twice", n-before)
		}

		over := stand.put(t, name, append(content, "x"...))
		for n := range 3 {
			stand.send(t, fmt.Sprintf("over-%d", n), stand.occurrence(name, over.ETag, nil))
		}
		stand.idle(t)
		told := stand.told(t, incident.TypeSecurity)
		if len(told) != before+1 || !strings.Contains(strings.Join(told, ""), "evidence was overwritten") {
			t.Errorf("overwriting evidence is told %d times, want once", len(told)-before)
		}
		c = stand.findings(t, "versions", 1)
		if len(c.Files) != 1 {
			t.Errorf("the case has %d files", len(c.Files))
		}
		stand.checkVault(t, c.Files[0], content)
		n := 0
		for _, m := range stand.told(t, incident.TypeFinding) {
			if strings.Contains(m, `"inc-versions"`) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d messages of findings, want 1", n)
		}
	})

	t.Run("F27 event before its case", func(t *testing.T) {
		const name = "captures/early.cap"
		content := emptyCapture(t, 200)
		info := stand.put(t, name, content)
		stand.send(t, "early", stand.occurrence(name, info.ETag, map[string]any{"eventTime": now}))
		eventually(t, "the event is delivered", func() bool { return stand.delivered(t, "early") })
		stand.expect(t, "early", nil)
		stand.checkVault(t, stand.findings(t, "early", 1).Files[0], content)
		stand.idle(t)
		if stand.dead(t, "early") {
			t.Error("the event is a dead letter")
		}
	})

	t.Run("H27 beside the file", func(t *testing.T) {
		name := stand.expect(t, "beside", nil)
		stand.send(t, "beside", stand.occurrence(name+"/x.cap", "0x1", nil))
		stand.idle(t)
		if !stand.dead(t, "beside") || !strings.Contains(strings.Join(stand.told(t, incident.TypeSecurity), ""), "beside.cap/x.cap") {
			t.Error("a file below the capture's is taken for the case's")
		}
	})

	t.Run("H28 append blob, odd types", func(t *testing.T) {
		name := stand.expect(t, "append", nil)
		content := emptyCapture(t, 300)
		info := stand.put(t, name, content)
		stand.send(t, "append", stand.occurrence(name, `"`+info.ETag+`"`, map[string]any{
			"data.blobType": "AppendBlob", "data.api": "PutBlob", "data.contentType": "text/html", "data.contentLength": 0, "data.sequencer": nil,
		}))
		stand.checkVault(t, stand.findings(t, "append", 1).Files[0], content)
	})

	t.Run("H49 same bytes", func(t *testing.T) {
		content := emptyCapture(t, 400)
		for _, id := range []string{"twin-a", "twin-b"} {
			name := stand.expect(t, id, nil)
			if err := stand.Land(t.Context(), name, bytes.NewReader(content), int64(len(content))); err != nil {
				t.Fatal(err)
			}
		}
		a, b := stand.findings(t, "twin-a", 1).Files[0], stand.findings(t, "twin-b", 1).Files[0]
		stand.checkVault(t, a, content)
		stand.checkVault(t, b, content)
		if a.MessageID == b.MessageID || a.Vault == b.Vault || a.Analysis == b.Analysis {
			t.Errorf("two cases share %+v and %+v", a, b)
		}
	})

	t.Run("H49 same name", func(t *testing.T) {
		const folder = "captures/set"
		stand.expect(t, "set", func(c *capture.Case) {
			c.StoragePath, c.TargetType, c.Instances = strings.TrimSuffix(c.StoragePath, ".cap"), "AzureVMSS", []string{"0", "1"}
		})
		contents := [][]byte{emptyCapture(t, 500), emptyCapture(t, 600)}
		for n, content := range contents {
			if err := stand.Land(t.Context(), fmt.Sprintf("%s/%d/capture.cap", folder, n), bytes.NewReader(content), int64(len(content))); err != nil {
				t.Fatal(err)
			}
		}
		c := stand.findings(t, "set", 2)
		for n, content := range contents {
			f := c.File(fmt.Sprintf("%s/%d/capture.cap", folder, n))
			if f == nil {
				t.Fatalf("no file of instance %d: %+v", n, c.Files)
			}
			stand.checkVault(t, *f, content)
			a, err := readAnalysis(filepath.Join(stand.options.Dir, "reports", f.Analysis))
			if err != nil || a.Capture.SHA256 != f.SHA256 {
				t.Errorf("the analysis of instance %d is of another file: %v", n, err)
			}
		}
	})
	stand.checkLog(t)
}

// delivered reports whether the host got the message.
func (s *stand) delivered(t *testing.T, id string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.options.Dir, "log.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(text, []byte(`"message":"`+id+`"`))
}
