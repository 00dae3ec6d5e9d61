package alert

import (
	"regexp"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

const schemaID = "azureMonitorCommonAlertSchema"

var (
	profilePattern  = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	incidentPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
)

// A message is an alert on its way into an [Alert].
type message struct {
	*Alert
	essentials     object
	context        object // alertContext
	custom         object // data.customProperties
	configuration  []string
	alertTargetIDs []Target
	overflow       string // dimension with more than MaxTargets values
}

// Parse reads an alert in the common alert schema. Its error is an [*Error],
// and final. What only concerns one target, or is nothing wrong with the alert,
// such as its age, is no error.
func Parse(data []byte) (Alert, error) {
	a, err := parse(data)
	if err != nil {
		return Alert{}, err
	}
	return a, nil
}

func parse(data []byte) (Alert, *Error) {
	v, err := decode(data)
	if err != nil {
		return Alert{}, err
	}
	root, _ := v.(object)
	if root == nil {
		return Alert{}, refuse(SchemaUnknown, "the alert is no JSON object; use the common alert schema in the action group")
	}
	if schema, _ := root["schemaid"].(string); !strings.EqualFold(schema, schemaID) {
		return Alert{}, refuse(SchemaUnknown, "schemaId is %+.64q, not %s; turn the common alert schema on in the action group", root.text("schemaId"), schemaID)
	}
	body := root.object("data")
	m := &message{
		Alert:      &Alert{Dimensions: make(map[string][]string)},
		essentials: body.object("essentials"),
		context:    body.object("alertContext"),
		custom:     body.object("customProperties"),
	}
	if m.essentials == nil {
		return Alert{}, refuse(FieldInvalid, "data.essentials is missing")
	}
	for _, step := range []func(*message) *Error{
		readEssentials, readTimes, readLists, readKind, readCustomProperties, findTargets,
	} {
		if err := step(m); err != nil {
			return Alert{}, err
		}
	}
	m.TestAction = isTestAction(m)
	return *m.Alert, nil
}

func readEssentials(m *message) *Error {
	for _, f := range []struct {
		key      string
		to       *string
		required bool
	}{
		{"alertId", &m.ID, true},
		{"alertRule", &m.Rule, false},
		{"alertRuleId", &m.RuleID, false},
		{"severity", &m.Severity, false},
		{"signalType", &m.SignalType, false},
		{"monitorCondition", (*string)(&m.Condition), true},
		{"monitoringService", &m.MonitoringService, false},
	} {
		v := m.essentials[lower(f.key)]
		s, ok := v.(string)
		switch {
		case v == nil && !f.required: // budget alerts have nulls here
		case !ok:
			return refuse(FieldInvalid, "essentials.%s is missing or no string", f.key)
		case len(s) > MaxText:
			return refuse(FieldInvalid, "essentials.%s is longer than %d bytes", f.key, MaxText)
		case s == "" && f.required:
			return refuse(FieldInvalid, "essentials.%s is empty", f.key)
		}
		*f.to = s
	}
	switch {
	case strings.EqualFold(string(m.Condition), string(Fired)):
		m.Condition = Fired
	case strings.EqualFold(string(m.Condition), string(Resolved)):
		m.Condition = Resolved
	default:
		return refuse(ConditionUnknown, "monitorCondition is %+.64q, neither Fired nor Resolved", m.Condition)
	}
	return nil
}

func readTimes(m *message) *Error {
	var err error
	fired := m.essentials.text("firedDateTime")
	if m.Fired, err = time.Parse(time.RFC3339, fired); err != nil {
		return refuse(TimeInvalid, "firedDateTime %+.40q is no RFC 3339 time", fired)
	}
	if resolved := m.essentials.text("resolvedDateTime"); resolved != "" {
		if m.Resolved, err = time.Parse(time.RFC3339, resolved); err != nil {
			return refuse(TimeInvalid, "resolvedDateTime %+.40q is no RFC 3339 time", resolved)
		}
	}
	m.Fired, m.Resolved = m.Fired.UTC(), m.Resolved.UTC()
	return nil
}

func readLists(m *message) *Error {
	ids, err := stringList(m.essentials, "alertTargetIDs")
	if err != nil {
		return err
	}
	for _, id := range ids {
		m.alertTargetIDs = append(m.alertTargetIDs, idTarget(id, "alertTargetIDs"))
	}
	m.configuration, err = stringList(m.essentials, "configurationItems")
	return err
}

// stringList reads an essentials array; absent and null are empty.
func stringList(o object, key string) ([]string, *Error) {
	v := o[lower(key)]
	list, ok := v.([]any)
	if v != nil && !ok {
		return nil, refuse(FieldInvalid, "essentials.%s is no array", key)
	}
	if len(list) > MaxTargets {
		return nil, refuse(TooManyTargets, "essentials.%s has %d entries; at most %d are read from one alert: narrow the rule", key, len(list), MaxTargets)
	}
	texts := make([]string, 0, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, refuse(FieldInvalid, "essentials.%s[%d] is no string", key, i)
		}
		texts = append(texts, cut(s))
	}
	return texts, nil
}

// readCustomProperties reads the two properties that a rule may set to steer
// within the policy. Metric and log alerts carry them in alertContext too; the
// context of an activity log alert is about the event, whoever caused it, and
// is not read.
func readCustomProperties(m *message) *Error {
	sources := []object{m.custom}
	if kindOf(m).customInContext {
		sources = append(sources, m.context.object("properties"))
	}
	for _, p := range []struct {
		key     string
		to      *string
		pattern *regexp.Regexp
		reason  Reason
	}{
		{"pcapProfile", &m.Profile, profilePattern, ProfileInvalid},
		{"incidentId", &m.IncidentID, incidentPattern, IncidentInvalid},
	} {
		for _, o := range sources {
			v := o[lower(p.key)]
			if v == nil {
				continue
			}
			s, ok := v.(string)
			if !ok || !p.pattern.MatchString(s) {
				return refuse(p.reason, "custom property %s is not of the form %s", p.key, p.pattern)
			}
			if *p.to != "" && *p.to != s {
				return refuse(p.reason, "custom property %s is there twice, with different values", p.key)
			}
			*p.to = s
		}
	}
	return nil
}

// testRules are the rules that the "Test action group" button invents, see
// https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-payload-samples.
var testRules = map[string]bool{
	"test-activitylogalertrule":                      true,
	"test-availabilitytest-test-applicationinsights": true,
	"test-dynamicmetricalertrule":                    true,
	"test-logalertrule-v1-metricmeasurement":         true,
	"test-logalertrule-v1-numresults":                true,
	"test-logalertrule-v2":                           true,
	"test-metricalertrule":                           true,
	"test-resourcehealthalertrule":                   true,
	"test-servicehealthalertrule":                    true,
	"test-smartalertrule":                            true,
}

// isTestAction reports whether the alert is of the test button. The invented
// rule counts only with the invented resource group, so that nobody's own
// rule of such a name goes unanswered.
func isTestAction(m *message) bool {
	if m.Kind == Budget {
		return strings.HasPrefix(m.essentials.text("description"), "Delivery Confirmation: This is a sample")
	}
	if !testRules[lower(m.Rule)] {
		return false
	}
	for _, t := range m.alertTargetIDs {
		if t.Type != Scope && !strings.EqualFold(t.ID.ResourceGroup(), "test-RG") {
			return false
		}
	}
	return true
}

// idTarget reads an ARM ID that the alert has for a target.
func idTarget(given, source string) Target {
	t := Target{Given: given, Source: source}
	id, err := resourceid.Parse(given)
	switch {
	case err == nil:
	case isScope(err):
		t.Type = Scope
		return t
	default:
		t.Type, t.Err = Malformed, err
		return t
	}
	t.ID = id
	switch {
	case id.Is(resourceid.TypeVM):
		t.Type = VM
	case id.Is(resourceid.TypeScaleSet):
		t.Type = ScaleSet
	case id.Is(resourceid.TypeNetworkInterface):
		t.Type = NetworkInterface
	case id.Is(resourceid.TypeScaleSetNetworkInterface):
		if instance, ok := id.Parent(); ok {
			t.ofInstance(instance)
		}
	case id.Is(resourceid.TypeScaleSetVM):
		t.ofInstance(id)
	default:
		t.Type = Other
	}
	return t
}

// ofInstance makes t an instance of a scale set.
func (t *Target) ofInstance(instance resourceid.ID) {
	t.Type = Other
	if set, ok := instance.Parent(); ok {
		t.Type, t.ID, t.Instances = ScaleSet, set, []string{instance.Name()}
	}
}
