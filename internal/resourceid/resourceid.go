// Package resourceid parses ARM resource IDs strictly, so that what is checked
// against a scope is what is captured.
package resourceid

import (
	"errors"
	"fmt"
	"strings"
)

// MaxLength is the longest ID in bytes, MaxSegment the longest segment: ARM
// has no longer resource names.
const (
	MaxLength  = 2048
	MaxSegment = 260
)

// ErrScope says that the ID is well formed but names a subscription or a
// resource group, not a resource in it.
var ErrScope = errors.New("names a subscription or resource group, not a resource")

// The types of the machines that Network Watcher captures on, and of what
// leads to one.
const (
	TypeVM                       = "Microsoft.Compute/virtualMachines"
	TypeScaleSet                 = "Microsoft.Compute/virtualMachineScaleSets"
	TypeScaleSetVM               = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines"
	TypeNetworkInterface         = "Microsoft.Network/networkInterfaces"
	TypeScaleSetNetworkInterface = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/networkInterfaces"
	TypeConnectionMonitor        = "Microsoft.Network/networkWatchers/connectionMonitors"
	TypeStorageAccount           = "Microsoft.Storage/storageAccounts"
)

// An ID is the ARM ID of one resource. Azure changes the case of IDs at will,
// so IDs are compared with [ID.Equal] or by [ID.Key], never with ==. The zero
// ID names nothing.
type ID struct {
	text          string
	subscription  string
	resourceGroup string
	namespace     string
	typ           string
	name          string
	parentLength  int // of text; 0 for a top-level resource
}

// Parse reads an ID of the form
//
//	/subscriptions/{guid}[/resourceGroups/{name}]/providers/{namespace}/{type}/{name}[/{type}/{name}...]
//
// Segments are ASCII letters, digits and - _ . ( ). Everything that some other
// reader may take differently is an error: percent escapes, empty segments,
// "..", a query or fragment, a second "providers". Of a subscription or
// resource group the error is [ErrScope]. Errors quote at most 80 bytes of s.
func Parse(s string) (ID, error) {
	id, err := parse(s)
	if err != nil {
		return ID{}, fmt.Errorf("resource ID %+.80q: %w", s, err)
	}
	return id, nil
}

// MustParse is Parse for constants; it panics on an invalid ID.
func MustParse(s string) ID {
	id, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return id
}

func parse(s string) (ID, error) {
	if len(s) > MaxLength {
		return ID{}, fmt.Errorf("longer than %d bytes", MaxLength)
	}
	if s == "" {
		return ID{}, errors.New("empty")
	}
	if s[0] != '/' {
		return ID{}, errors.New("does not begin with /")
	}
	parts := strings.Split(s[1:], "/")
	for _, part := range parts {
		if err := checkSegment(part); err != nil {
			return ID{}, err
		}
	}
	if len(parts) < 2 || !strings.EqualFold(parts[0], "subscriptions") {
		return ID{}, errors.New("does not begin with /subscriptions/{id}")
	}
	id := ID{text: s, subscription: parts[1]}
	if !IsGUID(id.subscription) {
		return ID{}, errors.New("the subscription is not a GUID")
	}
	rest := parts[2:]
	if len(rest) > 0 && strings.EqualFold(rest[0], "resourceGroups") {
		if len(rest) == 1 {
			return ID{}, errors.New("the resource group has no name")
		}
		id.resourceGroup = rest[1]
		rest = rest[2:]
	}
	if len(rest) == 0 {
		return ID{}, ErrScope
	}
	if !strings.EqualFold(rest[0], "providers") {
		return ID{}, fmt.Errorf("segment %+.40q where \"providers\" belongs", rest[0])
	}
	if len(rest) < 4 || len(rest)%2 != 0 {
		return ID{}, errors.New("a type without a name")
	}
	return id.withPath(rest[1], rest[2:])
}

// withPath adds the provider namespace and the type/name pairs.
func (id ID) withPath(namespace string, pairs []string) (ID, error) {
	if !isWord(namespace, ".") || !strings.Contains(namespace, ".") {
		return ID{}, fmt.Errorf("%+.40q is not a provider namespace", namespace)
	}
	id.namespace = namespace
	types := make([]string, 1, 1+len(pairs)/2)
	types[0] = namespace
	for i := 0; i < len(pairs); i += 2 {
		// A resource "under" another provider is an extension resource: not a
		// machine, though its ID begins like one.
		if strings.EqualFold(pairs[i], "providers") {
			return ID{}, errors.New("a second \"providers\"")
		}
		if !isWord(pairs[i], "") {
			return ID{}, fmt.Errorf("%+.40q is not a resource type", pairs[i])
		}
		types = append(types, pairs[i])
	}
	last := len(pairs) - 2
	id.typ, id.name = strings.Join(types, "/"), pairs[last+1]
	if last > 0 {
		id.parentLength = len(id.text) - len("/") - len(pairs[last]) - len("/") - len(id.name)
	}
	return id, nil
}

// checkSegment reports why s may not be a segment. The set is narrower than
// ARM's: machines, scale sets, resource groups and storage accounts fit.
func checkSegment(s string) error {
	switch {
	case s == "":
		return errors.New("empty segment or trailing /")
	case len(s) > MaxSegment:
		return fmt.Errorf("segment longer than %d bytes", MaxSegment)
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 0x80:
			return errors.New("not ASCII")
		case !isAlphanumeric(c) && !strings.ContainsRune("-_.()", rune(c)):
			return fmt.Errorf("character %+q is not allowed", c)
		}
	}
	if strings.Contains(s, "..") || s[len(s)-1] == '.' {
		return errors.New("a segment has \"..\" or ends with a dot")
	}
	return nil
}

// isWord reports whether s is letters, digits and extra.
func isWord(s, extra string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && !strings.Contains(extra, s[i:i+1]) {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// IsGUID reports whether s is a GUID as Azure writes subscriptions:
// 8-4-4-4-12 hexadecimal digits.
func IsGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			c := s[i] | 0x20
			if !('0' <= s[i] && s[i] <= '9' || 'a' <= c && c <= 'f') {
				return false
			}
		}
	}
	return true
}

// String returns the ID as it was given.
func (id ID) String() string { return id.text }

// Key returns the canonical form, lower case: equal IDs have equal keys.
func (id ID) Key() string { return strings.ToLower(id.text) }

// Equal reports whether both name the same resource.
func (id ID) Equal(other ID) bool { return strings.EqualFold(id.text, other.text) }

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id.text == "" }

// Subscription returns the GUID of the subscription, as given.
func (id ID) Subscription() string { return id.subscription }

// ResourceGroup returns the name of the resource group, as given, or "" for a
// resource of the subscription itself, such as an alert.
func (id ID) ResourceGroup() string { return id.resourceGroup }

// Namespace returns the provider namespace, such as "Microsoft.Compute".
func (id ID) Namespace() string { return id.namespace }

// Type returns the full type, such as
// "Microsoft.Compute/virtualMachineScaleSets/virtualMachines", as given.
func (id ID) Type() string { return id.typ }

// Is reports whether the resource is of the full type t.
func (id ID) Is(t string) bool { return strings.EqualFold(id.typ, t) }

// Name returns the last name: of the instance, not of its scale set.
func (id ID) Name() string { return id.name }

// Parent returns the resource that this one is a child of, such as the scale
// set of an instance, and false for a top-level resource.
func (id ID) Parent() (ID, bool) {
	if id.parentLength == 0 {
		return ID{}, false
	}
	parent, err := parse(id.text[:id.parentLength])
	return parent, err == nil
}

// MarshalText writes the ID as it was given.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.text), nil }

// UnmarshalText parses an ID; empty text is the zero ID.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ID{}
		return nil
	}
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
