package evidence

import (
	"context"
	"io"
)

// Load reads a stored document, such as a manifest or a report, into memory:
// most bytes of it. The rest of a longer one is left out, which no hash or
// signature over the whole survives.
func Load(ctx context.Context, from interface {
	Open(ctx context.Context, name string) (File, error)
}, name string, most int64) ([]byte, error) {
	f, err := from.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	r, err := f.Reader(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, most))
}
