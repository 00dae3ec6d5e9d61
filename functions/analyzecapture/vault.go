package analyzecapture

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/excerpt"
	"github.com/pcapwarden/pcapwarden/internal/report"
)

// restricted is the classification of everything that packets are in.
const restricted = "restricted"

// seal returns a writer into the vault. What an earlier try stored stays, and
// the writer then swallows what it is given.
func (a *Analyzer) seal(ctx context.Context, c capture.Case, name string) *sealer {
	r, w := io.Pipe()
	s := &sealer{Writer: bufio.NewWriterSize(w, sealBuffer), pipe: w, done: make(chan error, 1)}
	go func() {
		_, err := a.Vault.Create(ctx, name, r, tags(c))
		if errors.Is(err, evidence.ErrExists) {
			_, err = io.Copy(io.Discard, r)
		}
		r.CloseWithError(err)
		s.done <- err
	}()
	return s
}

// tags find a case's files in the vault.
func tags(c capture.Case) map[string]string {
	return map[string]string{
		"incident": c.Incident, "capture": c.ID, "owner": evidence.TagValue(c.Approval.Owner), "classification": restricted,
		"deleteAfter": c.DeleteAfter.UTC().Format("2006-01-02T15:04:05Z"),
	}
}

// sealBuffer keeps reading and writing from waiting for each other's every
// chunk.
const sealBuffer = 1 << 20

type sealer struct {
	*bufio.Writer
	pipe *io.PipeWriter
	done chan error
}

// close ends the file, or abandons it when reading failed.
func (s *sealer) close(cause error) error {
	end := cause
	if cause == nil {
		end = s.Flush()
	}
	s.pipe.CloseWithError(end) // nil is the end of the file
	switch err := <-s.done; {
	case err != nil && (cause == nil || !errors.Is(err, cause)):
		return fmt.Errorf("store in the vault: %w", err)
	case cause == nil && end != nil:
		return fmt.Errorf("store in the vault: %w", end)
	}
	return nil
}

// readBack reads the vault's copy, compares it with what was read where the
// file landed, and cuts the findings' packets out of it on the way. A
// difference is told in words, not as an error: reading again would not mend
// it.
func (a *Analyzer) readBack(ctx context.Context, e *examined) (wrong string, err error) {
	f, err := a.Vault.Open(ctx, e.file.Vault)
	if err != nil {
		return "", fmt.Errorf("read back from the vault: %w", err)
	}
	e.vault = f.Info()
	content, err := f.Reader(ctx)
	if err != nil {
		return "", fmt.Errorf("read back from the vault: %w", err)
	}
	defer content.Close()
	hash := evidence.NewHashReader(content)
	defer hash.Close()
	if err := e.excerpt(ctx, hash); err != nil {
		// Findings without their excerpts are better than none.
		a.Log.WarnContext(ctx, "no excerpts", "file", e.file.Vault, "err", err)
	}
	if _, err := io.Copy(io.Discard, hash); err != nil {
		return "", fmt.Errorf("read back from the vault: %w", err)
	}
	e.verified = a.Now().UTC()
	if hash.Bytes() == e.digest.Bytes && hash.Sum() == e.digest.SHA256 {
		return "", nil
	}
	where, err := custody.DigestOf(ctx, a.Vault, e.file.Vault) // once more, to say where
	if err != nil {
		return "", fmt.Errorf("read back from the vault: %w", err)
	}
	return cmp.Or(custody.Compare(where, e.digest), "its bytes are not the same each time they are read"), nil
}

// excerpt cuts out the packets of the findings. They are kept in memory until
// it is known that they are those of the evidence.
func (e *examined) excerpt(ctx context.Context, content io.Reader) error {
	e.cut = map[int][]byte{}
	if !e.analysis.Capture.Readable {
		return nil
	}
	summaries, err := excerpt.Write(ctx, content, e.analysis, excerpt.Options{Application: "pcapwarden"}, func(n int) (io.WriteCloser, error) {
		return &piece{into: e.cut, finding: n}, nil
	})
	for _, s := range summaries {
		if _, ok := e.cut[s.Finding]; ok {
			e.excerpts = append(e.excerpts, report.Excerpt{Finding: s.Finding, Packets: s.Packets + s.Handshake})
		}
	}
	return err
}

// piece is an excerpt on its way.
type piece struct {
	bytes.Buffer
	into    map[int][]byte
	finding int
}

func (p *piece) Close() error { p.into[p.finding] = p.Bytes(); return nil }

// store keeps a document, and says what is kept. One that is there was made by
// an earlier try from the same bytes, and stays.
func (a *Analyzer) store(ctx context.Context, name string, document []byte) (custody.Derived, error) {
	_, err := a.Reports.Create(ctx, name, bytes.NewReader(document), nil)
	if errors.Is(err, evidence.ErrExists) {
		document, err = evidence.Load(ctx, a.Reports, name, maxDocument)
	}
	if err != nil {
		return custody.Derived{}, fmt.Errorf("store report: %w", err)
	}
	return custody.Derived{Store: "reports", Name: name, Bytes: int64(len(document)), SHA256: custody.Digest(document)}, nil
}

// maxDocument bounds what is read of a document that an earlier try stored.
const maxDocument = 64 << 20
