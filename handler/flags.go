package main

import (
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// parse reads flags wherever they stand among the arguments, and returns the
// arguments: people put the file first as often as last.
func parse(flags *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return rest, nil
		}
		if n := len(args) - flags.NArg(); n > 0 && args[n-1] == "--" {
			return append(rest, flags.Args()...), nil
		}
		rest = append(rest, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

// A choice is a flag with a few possible values.
type choice struct {
	value   string
	allowed []string
}

func (c *choice) String() string { return c.value }

func (c *choice) Set(v string) error {
	if slices.Contains(c.allowed, v) {
		c.value = v
		return nil
	}
	return fmt.Errorf("want %s", strings.Join(c.allowed, ", "))
}

// addresses is a flag that lists IP addresses, separated by commas.
type addresses []netip.Addr

func (a *addresses) String() string {
	var all []string
	for _, addr := range *a {
		all = append(all, addr.String())
	}
	return strings.Join(all, ",")
}

func (a *addresses) Set(v string) error {
	for s := range strings.SplitSeq(v, ",") {
		addr, err := netip.ParseAddr(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("%q is not an IP address", s)
		}
		*a = append(*a, addr.Unmap())
	}
	return nil
}
