package alert

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// namePattern is what a computer or instance may be called.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$`)

var errName = errors.New("not a computer name: letters, digits and . _ - only")

func isScope(err error) bool { return errors.Is(err, resourceid.ErrScope) }

// findTargets looks for machines: in alertTargetIDs, then where the kind of
// alert names them. Nothing is guessed: an alert that names no machine has
// none.
func findTargets(m *message) *Error {
	k := kindOf(m)
	m.Targets = m.alertTargetIDs
	if !slices.ContainsFunc(m.Targets, Target.Machine) {
		for _, list := range k.machines {
			found := list(m)
			if slices.ContainsFunc(found, Target.Machine) {
				// What is malformed beside it stays, to be refused.
				m.Targets = append(malformed(m.Targets), found...)
				break
			}
			m.Targets = append(m.Targets, malformed(found)...)
		}
	}
	m.Targets = merge(m.Targets)
	addInstanceNames(m)
	if len(m.Targets) > MaxTargets {
		return refuse(TooManyTargets, "the alert names %d targets; at most %d are read from one alert: narrow the rule", len(m.Targets), MaxTargets)
	}
	if !slices.ContainsFunc(m.Targets, Target.Machine) {
		m.NoTarget = "the alert names no virtual machine or scale set: " + k.noMachine
	}
	return nil
}

func malformed(targets []Target) []Target {
	var bad []Target
	for _, t := range targets {
		if t.Type == Malformed {
			bad = append(bad, t)
		}
	}
	return bad
}

// merge leaves one target for each resource or name; instances of one scale
// set become one target.
func merge(targets []Target) []Target {
	var merged []Target
	at := make(map[string]int)
	for _, t := range targets {
		key := string(t.Type) + " " + t.ID.Key() + " " + lower(t.Name)
		if t.ID.IsZero() && t.Name == "" {
			key += t.Given
		}
		i, ok := at[key]
		if !ok {
			at[key] = len(merged)
			merged = append(merged, t)
			continue
		}
		first := &merged[i]
		if t.Type != ScaleSet {
			continue
		}
		if len(first.Instances) == 0 || len(t.Instances) == 0 {
			first.Instances = nil // one of them means the whole set
			first.Given = first.ID.String()
			continue
		}
		for _, name := range t.Instances {
			if !slices.Contains(first.Instances, name) {
				first.Instances = append(first.Instances, name)
				first.Given = first.ID.String()
			}
		}
	}
	return merged
}

// addInstanceNames narrows scale sets to the instances that metrics name in
// the dimension VMName. Its form is not documented (set_3, set000003): the
// names stay as they are, to be looked up, and are never taken apart.
func addInstanceNames(m *message) {
	names := m.Values("VMName")
	if len(names) == 0 {
		return
	}
	for i := range m.Targets {
		t := &m.Targets[i]
		if t.Type != ScaleSet || len(t.Instances) > 0 {
			continue
		}
		for _, name := range names {
			if !namePattern.MatchString(name) {
				*t = Target{Type: Malformed, Given: name, Source: "dimension VMName", Err: errName}
				break
			}
			t.Instances = append(t.Instances, name)
		}
	}
}

// nameTarget reads a computer name, or an ARM ID where Azure has one instead.
func nameTarget(given, source string) Target {
	switch {
	case strings.HasPrefix(given, "/"):
		return idTarget(given, source)
	case namePattern.MatchString(given):
		return Target{Type: ComputerName, Name: given, Given: given, Source: source}
	}
	return Target{Type: Malformed, Given: given, Source: source, Err: errName}
}

// dimensionIDs lists the values of a dimension that are ARM IDs. Others are
// something else under the same name: ResourceId of the published metric
// sample is the machine's GUID.
func dimensionIDs(name string) func(*message) []Target {
	return func(m *message) []Target {
		var targets []Target
		for _, v := range m.Values(name) {
			if strings.HasPrefix(v, "/") {
				targets = append(targets, idTarget(v, "dimension "+name))
			}
		}
		return targets
	}
}

func dimensionNames(name string) func(*message) []Target {
	return func(m *message) []Target {
		var targets []Target
		for _, v := range m.Values(name) {
			if v != "" {
				targets = append(targets, nameTarget(v, "dimension "+name))
			}
		}
		return targets
	}
}

// configurationItems of a log alert are IDs or computer names. One that
// repeats the name of what the rule watches, such as the workspace, is no
// computer.
func configurationItems(m *message) []Target {
	var targets []Target
	for _, item := range m.configuration {
		watched := slices.ContainsFunc(m.alertTargetIDs, func(t Target) bool {
			return strings.EqualFold(t.ID.Name(), item)
		})
		if item != "" && !watched {
			targets = append(targets, nameTarget(item, "configurationItems"))
		}
	}
	return targets
}

func authorizationScope(m *message) []Target {
	return optionalID(m.context.object("authorization").text("scope"), "authorization.scope")
}

func propertyID(name string) func(*message) []Target {
	return func(m *message) []Target {
		return optionalID(m.context.object("properties").text(name), "properties."+name)
	}
}

func optionalID(given, source string) []Target {
	if !strings.HasPrefix(given, "/") {
		return nil
	}
	return []Target{idTarget(given, source)}
}

func compromisedEntity(m *message) []Target {
	given := m.context.object("properties").text("compromisedEntity")
	if given == "" {
		return nil
	}
	return []Target{nameTarget(given, "properties.compromisedEntity")}
}

// onConnectionMonitor matches metric alerts of connection monitors, whose
// machines are the ends of the probe.
func onConnectionMonitor(m *message) bool {
	return slices.ContainsFunc(m.alertTargetIDs, func(t Target) bool {
		return t.ID.Is(resourceid.TypeConnectionMonitor)
	})
}

// conditionDimensions reads alertContext.condition.allOf[].dimensions[].
func conditionDimensions(m *message) {
	for _, v := range m.context.object("condition").list("allOf") {
		criterion, _ := v.(object)
		m.addDimensions(criterion.list("dimensions"))
	}
}

func logV1Dimensions(m *message) {
	m.addDimensions(m.context.list("Dimensions"))
	m.configuration = append(m.configuration, texts(m.context.list("AffectedConfigurationItems"))...)
}

func labelDimensions(m *message) {
	for name, v := range m.context.object("labels") {
		m.addDimension(cut(name), text(v))
	}
}

func (m *message) addDimensions(list []any) {
	for _, v := range list {
		o, _ := v.(object)
		if name := o.text("name"); name != "" {
			m.addDimension(name, o.text("value"))
		}
	}
}

func (m *message) addDimension(name, value string) {
	key := lower(name)
	switch {
	case slices.Contains(m.Dimensions[key], value):
	case len(m.Dimensions[key]) == MaxTargets:
		m.overflow = name
	default:
		m.Dimensions[key] = append(m.Dimensions[key], value)
	}
}

func texts(list []any) []string {
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, cut(s))
		}
	}
	return out
}
