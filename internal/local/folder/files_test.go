package folder

import (
	"context"
	"io"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/evidence/evidencetest"
)

func openFiles(t *testing.T, dir string) *Files {
	t.Helper()
	s, err := OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestFiles(t *testing.T) {
	evidencetest.Run(t, func(t *testing.T) evidencetest.Place {
		landing := openFiles(t, t.TempDir())
		return evidencetest.Place{
			Landing: landing,
			Vault:   openFiles(t, t.TempDir()),
			Drop: func(ctx context.Context, name string, content io.Reader) error {
				_, err := landing.Put(ctx, name, content)
				return err
			},
		}
	})
}
