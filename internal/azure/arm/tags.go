package arm

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/controlplane"
)

// Tags implements [controlplane.Source]. The list is Azure's of all its own
// addresses, some megabytes; it is read for each inquiry that has a public
// address, and not kept.
func (r *Reader) Tags(ctx context.Context, s controlplane.Subject, addrs []netip.Addr) ([]controlplane.Name, error) {
	_, c, err := r.watcher.clientsOf(s.ID)
	if err != nil {
		return nil, err
	}
	region := normalRegion(s.Region)
	if region == "" || strings.ContainsAny(region, "/?#%\\.") {
		return nil, fmt.Errorf("%q is no region", s.Region)
	}
	found, err := c.tags.List(ctx, region, nil)
	if err != nil {
		return nil, notAnswered(ReadServiceTags, err)
	}
	best := make([]tagged, len(addrs))
	for _, t := range found.Values {
		if t == nil || t.Properties == nil {
			continue
		}
		for _, text := range t.Properties.AddressPrefixes {
			p, err := netip.ParsePrefix(deref(text))
			if err != nil {
				continue
			}
			for i, a := range addrs {
				if p.Contains(a.Unmap()) {
					best[i] = best[i].or(tagged{deref(t.Name), p.Bits()})
				}
			}
		}
	}
	var all []controlplane.Name
	for i, t := range best {
		if t.name != "" {
			all = append(all, controlplane.Name{Address: addrs[i], Kind: controlplane.ServiceTag, Name: t.name})
		}
	}
	return all, nil
}

// tagged is a service tag that has an address.
type tagged struct {
	name string
	bits int
}

// or returns the one that says more: a service rather than all of Azure, then
// the narrower prefix, then the one that names a region.
func (t tagged) or(u tagged) tagged {
	general := func(x tagged) int {
		switch {
		case x.name == "":
			return 2
		case strings.HasPrefix(x.name, "AzureCloud"):
			return 1
		}
		return 0
	}
	if cmp.Or(cmp.Compare(general(u), general(t)), cmp.Compare(t.bits, u.bits), cmp.Compare(len(t.name), len(u.name))) < 0 {
		return u
	}
	return t
}
