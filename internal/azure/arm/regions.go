package arm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// A place is a network watcher: there is one per subscription and region, of
// whatever name and in whatever resource group.
type place struct {
	subscription, group, name, region string
}

// placesExpire is how long the watchers of a subscription are believed. They
// hardly ever change, and an alert that hits 300 machines should list them
// once.
const placesExpire = 2 * time.Minute

// places are the watchers of one subscription. The turn keeps callers that
// come at once from all asking; a channel, so that waiting ends with the
// context.
type places struct {
	turn    chan struct{}
	read    time.Time // zero: never
	entries []place
}

// placesFresh is how long they are believed where something was not found: a
// session that is to be started never is, and 300 of them should not have the
// watchers listed 300 times.
const placesFresh = 10 * time.Second

// places returns the watchers of a subscription, as they were at most so long ago.
func (w *Watcher) places(ctx context.Context, subscription string, believed time.Duration) ([]place, error) {
	c, err := w.clients(subscription)
	if err != nil {
		return nil, err
	}
	p := &c.places
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the list of network watchers: %w", context.Cause(ctx))
	}
	if !p.read.IsZero() && time.Since(p.read) < believed {
		return p.entries, nil
	}
	var entries []place
	pager := c.watchers.NewListAllPager(nil)
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, classify(ReadWatchers, err)
		}
		for _, nw := range page.Value {
			if nw == nil {
				continue
			}
			id, err := parseID(deref(nw.ID))
			if err != nil || typeOf(id) != typeWatcher {
				continue
			}
			entries = append(entries, place{
				subscription: subscription,
				group:        id.ResourceGroupName,
				name:         id.Name,
				region:       normalRegion(deref(nw.Location)),
			})
		}
	}
	p.entries, p.read = entries, time.Now()
	return entries, nil
}

// place returns the watcher of a region. A watcher that is not known is
// looked for once more: Azure makes one when a region is first used.
func (w *Watcher) place(ctx context.Context, subscription, region string) (place, error) {
	region = normalRegion(region)
	for _, believed := range []time.Duration{placesExpire, 0} {
		entries, err := w.places(ctx, subscription, believed)
		if err != nil {
			return place{}, fmt.Errorf("find the network watcher of %s: %w", region, err)
		}
		if i := slices.IndexFunc(entries, func(p place) bool { return p.region == region }); i >= 0 {
			return entries[i], nil
		}
	}
	return place{}, fmt.Errorf("%w %q of subscription %s: enable Network Watcher there", capture.ErrNoWatcher, region, subscription)
}

// recheck tells apart, after a 404, what was not found: the watcher or what
// it was asked for. It takes the watchers for those of at most so long ago.
func (w *Watcher) recheck(ctx context.Context, p place, err error, believed time.Duration) error {
	entries, listErr := w.places(ctx, p.subscription, believed)
	if listErr != nil {
		return err
	}
	if slices.ContainsFunc(entries, func(q place) bool {
		return strings.EqualFold(q.group, p.group) && strings.EqualFold(q.name, p.name)
	}) {
		return err
	}
	return fmt.Errorf("%w %q: %s is gone", capture.ErrNoWatcher, p.region, p.name)
}
