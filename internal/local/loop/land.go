package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/local/agent"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// Land puts a finished file into the landing container and raises its event,
// twice: Event Grid delivers at least once.
func (l *Loop) Land(ctx context.Context, name string, content io.Reader, size int64) error {
	info, err := l.Landing.Create(ctx, name, content, nil)
	if errors.Is(err, evidence.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	s := l.options.Scenario
	id := fmt.Sprintf("%x-%x", time.Now().UnixNano(), size)
	event, err := agent.Landed{
		Account: s.Landing.ID, Endpoint: s.Landing.Endpoint, Container: arm.Container, Name: name,
		Size: size, ETag: info.ETag, Sequence: uint64(time.Now().UnixNano()), EventID: id, Time: time.Now(),
	}.Event()
	if err != nil {
		return err
	}
	l.show("landing", "%s, %d bytes", filepath.Base(name), size)
	for n := range 2 {
		// Another broker ID for the repetition: the queue must not hide it.
		err := l.Events.Send(ctx, incident.Message{
			ID: fmt.Sprintf("%s-%d", id, n), Subject: "Microsoft.Storage.BlobCreated", ContentType: "application/json", Body: event,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
