package folder

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/ledger/ledgertest"
)

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledgertest.Place {
		dir := t.TempDir()
		now, pass := testClock()
		open := func() *Ledger {
			l, err := OpenLedger(dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			l.now = now
			return l
		}
		return ledgertest.Place{One: open(), Other: open(), Pass: pass}
	})
}

// testClock tells a time that passes when told to.
func testClock() (clock, func(time.Duration)) {
	var ahead atomic.Int64
	return func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		func(d time.Duration) { ahead.Add(int64(d)) }
}
