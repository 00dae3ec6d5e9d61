package analyzecapture_test

import (
	"net/http"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// TestF24TenTimes delivers one event ten times: it is analysed once.
func TestF24TenTimes(t *testing.T) {
	stores(t, func(t *testing.T, l landing) {
		b := newBench(t, l, nil)
		content := made(t, 5000, 1)
		etag := b.put(t, content).ETag
		for n := range 10 {
			if status := b.deliver(etag); status != http.StatusOK {
				t.Errorf("delivery %d was answered %d", n, status)
			}
		}
		b.checkOnly(t, content)
	})
}

// TestF25BeforeTheEnd has the agent create its file before the session is
// over, and fill it later: what is empty so far is not evidence.
func TestF25BeforeTheEnd(t *testing.T) {
	stores(t, func(t *testing.T, l landing) {
		b := newBench(t, l, nil)
		if _, err := b.ledger.Change(t.Context(), "inc-one", "pc-one", func(c *capture.Case) error {
			c.State = capture.Capturing
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if status := b.deliver(b.put(t, nil).ETag); status != http.StatusOK {
			t.Errorf("the event of the empty file was answered %d; another follows, so it need not come again", status)
		}
		if n, kept := b.messages(t), b.files(t); n != 0 || len(kept) != 0 {
			t.Fatalf("an empty file left %d messages and %v in the vault", n, kept)
		}
		content := made(t, 5000, 1)
		if status := b.deliver(b.put(t, content).ETag); status != http.StatusOK {
			t.Errorf("the event of the file was answered %d", status)
		}
		b.checkOnly(t, content)
	})
}

// TestF26Versions delivers the events of several versions of a file, the last
// one first: the version that is there is analysed, the others are not.
func TestF26Versions(t *testing.T) {
	stores(t, func(t *testing.T, l landing) {
		b := newBench(t, l, nil)
		var etags []string
		var content []byte
		for seed := range byte(3) {
			content = made(t, 5000, seed)
			etags = append(etags, b.put(t, content).ETag)
		}
		for _, n := range []int{2, 0, 1} {
			if status := b.deliver(etags[n]); status != http.StatusOK {
				t.Errorf("the event of version %d was answered %d", n, status)
			}
		}
		b.checkOnly(t, content)
	})
}
