package policy

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// Schema is the JSON Schema (draft 2020-12) of policy files, for editors. It
// finds most mistakes; [Load] finds all.
//
//go:embed policy.schema.json
var Schema []byte

// DefaultLimits are the ceilings where the file sets none.
var DefaultLimits = Limits{TimeLimit: 15 * time.Minute, TotalBytes: 256 << 20, ActivePerVM: 2, StartsPerHour: 20}

// maxMistakes are listed: who has more has another kind of file.
const maxMistakes = 100

// Load reads a policy file. Its error is an [*InvalidError] with every mistake.
func Load(data []byte) (*Policy, error) {
	f := new(file)
	p := new(Policy)
	if root, ok := f.parse(data); ok {
		p.read(root)
	}
	if mistakes := sorted(f.mistakes); len(mistakes) > 0 {
		return nil, &InvalidError{mistakes[:min(len(mistakes), maxMistakes)]}
	}
	sum := sha256.Sum256(data)
	p.Hash = hex.EncodeToString(sum[:])
	p.warnings = sorted(f.warnings)
	return p, nil
}

func (p *Policy) read(root node) {
	o, ok := root.object("version", "limits", "scope", "landing", "profiles", "expected", "severities", "alerts", "records")
	if !ok {
		return
	}
	if n, ok := o.required("version", "write version: 1"); ok {
		if s, ok := n.text(); ok && s != "1" {
			n.fail("%+q is not known here; this program reads version 1", shorten(s))
		}
	}
	p.Limits = DefaultLimits
	if n, ok := o.optional("limits"); ok {
		p.Limits.read(n)
	}
	if n, ok := o.required("scope", "the subscriptions and resource groups where captures may run"); ok {
		before := len(n.file.mistakes)
		p.Scope.read(n)
		n.file.scopeBroken = len(n.file.mistakes) > before
	}
	if n, ok := o.required("landing", "the storage account of each region where captures arrive"); ok {
		p.readLanding(n)
	}
	if n, ok := o.required("profiles", "what may be captured, and for which alerts"); ok {
		p.readProfiles(n)
	}
	if n, ok := o.optional("expected"); ok {
		p.Expected.read(n)
	}
	if n, ok := o.optional("severities"); ok {
		p.Severities = n.severities()
	}
	if n, ok := o.optional("alerts"); ok {
		p.Alerts.read(n)
	}
	p.Records.Retention = DefaultRetention
	if n, ok := o.optional("records"); ok {
		p.Records.read(n)
	}
}

func (a *Alerts) read(n node) {
	o, ok := n.object("reread")
	if !ok {
		return
	}
	if n, ok := o.required("reread", "required or never"); ok {
		switch s, ok := n.text(); {
		case ok && s == "required":
			a.Reread = true
		case ok && s != "never":
			n.fail("%+q is not known here: required has Azure Monitor asked about each alert, never does not", shorten(s))
		}
	}
}

// The bounds of how long records are kept.
const (
	minRecords = 24 * time.Hour
	maxRecords = 10 * 366 * 24 * time.Hour
)

func (r *Records) read(n node) {
	o, ok := n.object("retention")
	if !ok {
		return
	}
	if n, ok := o.required("retention", "how long records outlive their evidence, such as 400d"); ok {
		d, ok := n.duration(true, maxRecords)
		if ok && d < minRecords {
			n.fail("%s is too short: whoever asks what became of the evidence the day after should learn it", FormatDuration(d))
		}
		r.Retention = d
	}
}

func (l *Limits) read(n node) {
	o, ok := n.object("timeLimit", "totalBytes", "activePerVM", "startsPerHour")
	if !ok {
		return
	}
	// Where a ceiling is a mistake, no profile is above it as well.
	if n, ok := o.optional("timeLimit"); ok {
		l.TimeLimit = maxTimeLimit
		if d, ok := n.duration(false, maxTimeLimit); ok {
			l.TimeLimit = d
		}
	}
	if n, ok := o.optional("totalBytes"); ok {
		l.TotalBytes = maxTotalBytes
		if b, ok := n.size(); ok {
			l.TotalBytes = b
		}
	}
	if n, ok := o.optional("activePerVM"); ok {
		v, _ := n.integer(1, 100)
		l.ActivePerVM = int(v)
	}
	if n, ok := o.optional("startsPerHour"); ok {
		v, _ := n.integer(1, 100_000)
		l.StartsPerHour = int(v)
	}
}

func (s *Scope) read(n node) {
	o, ok := n.object("subscriptions", "resourceGroups", "requireTag", "denyTag")
	if !ok {
		return
	}
	if n, ok := o.required("subscriptions", "the GUID of each subscription"); ok {
		s.Subscriptions = each(n, node.guid)
	}
	if n, ok := o.required("resourceGroups", "the name of each resource group, valid in each subscription"); ok {
		s.ResourceGroups = each(n, node.resourceGroup)
	}
	if n, ok := o.optional("requireTag"); ok {
		s.RequireTag = n.tags()
	}
	if n, ok := o.optional("denyTag"); ok {
		s.DenyTag = n.tags()
		for name, value := range s.DenyTag {
			if v, ok := tag(s.RequireTag, name); ok && v == value {
				n.fail("denies the tag %+q that requireTag asks for: no machine could pass", shorten(name))
			}
		}
	}
}

// each reads a list of values, leaving out those that are mistakes.
func each[T any](n node, read func(node) (T, bool)) []T {
	var values []T
	for _, item := range n.list() {
		if v, ok := read(item); ok {
			values = append(values, v)
		}
	}
	return values
}

// tags reads tag names and values.
func (n node) tags() map[string]string {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		n.fail("expected tags, such as {pcapwarden: allowed}")
		return nil
	}
	tags := make(map[string]string)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.at(n.Content[i+1], "."+shorten(n.Content[i].Value))
		name, ok := n.at(key, "").words()
		if !ok {
			continue
		}
		if _, twice := tag(tags, name); twice {
			value.fail("is there twice: Azure's tag names do not differ by case")
		}
		if text, ok := value.words(); ok {
			tags[name] = text
		}
	}
	return tags
}

func (p *Policy) readLanding(n node) {
	p.Landing = make(map[string]resourceid.ID)
	for _, item := range n.list() {
		o, ok := item.object("region", "storageAccountId")
		if !ok {
			continue
		}
		var region string
		if n, ok := o.required("region", "such as westeurope"); ok {
			s, ok := n.text()
			region = Region(s)
			if ok && !regionPattern.MatchString(region) {
				n.fail("%+q is no region", shorten(s))
			} else if _, twice := p.Landing[region]; ok && twice {
				n.fail("region %s is there twice; a capture has to land in one account", region)
			}
		}
		if n, ok := o.required("storageAccountId", "the ARM ID of the landing account"); ok {
			id, ok := n.resource(resourceid.TypeStorageAccount, "")
			if ok && !storagePattern.MatchString(fold(id.Name())) {
				n.fail("%+q is no storage account's name: 3 to 24 lower-case letters and digits", shorten(id.Name()))
			}
			p.Landing[region] = id
		}
	}
}

// resource reads the ID of a resource of one type or the other.
func (n node) resource(types ...string) (resourceid.ID, bool) {
	s, ok := n.text()
	if !ok {
		return resourceid.ID{}, false
	}
	id, err := resourceid.Parse(s)
	if err != nil {
		n.fail("%s", err)
		return resourceid.ID{}, false
	}
	if id.ResourceGroup() == "" || !slices.ContainsFunc(types, id.Is) {
		types = slices.DeleteFunc(types, func(t string) bool { return t == "" })
		n.fail("%s is not a %s", shorten(id.Type()), strings.Join(types, " or "))
		return resourceid.ID{}, false
	}
	return id, true
}

// Warnings are what is valid but probably not meant, at now.
func (p *Policy) Warnings(now time.Time) []Mistake {
	warnings := slices.Clone(p.warnings)
	for _, profile := range p.Profiles {
		if !profile.Approval.ValidAt(now) {
			warnings = append(warnings, Mistake{
				profile.expires, profile.path + ".approval.expires",
				"expired on " + profile.Approval.Expires.Format(time.DateOnly) + ": alerts for profile " + profile.Name + " are refused",
			})
		}
	}
	return sorted(warnings)
}

// Regions lists the regions that have a landing account, in order.
func (p *Policy) Regions() []string { return slices.Sorted(maps.Keys(p.Landing)) }
