package alert

import (
	"strings"
	"time"
)

// The kinds of alert.
const (
	MetricStatic           Kind = "metric-static"
	MetricDynamic          Kind = "metric-dynamic"
	MetricMultiResource    Kind = "metric-multi-resource"
	AvailabilityTest       Kind = "availability-test"
	ConnectionMonitor      Kind = "connection-monitor"
	Prometheus             Kind = "prometheus"
	LogV1                  Kind = "log-v1"
	LogV2                  Kind = "log-v2"
	ActivityAdministrative Kind = "activity-administrative"
	ActivityPolicy         Kind = "activity-policy"
	ActivitySecurity       Kind = "activity-security"
	ActivityAutoscale      Kind = "activity-autoscale"
	ResourceHealth         Kind = "resource-health"
	ServiceHealth          Kind = "service-health"
	SmartDetection         Kind = "smart-detection"
	Budget                 Kind = "budget"
	// Unlisted is every other kind: only its alertTargetIDs are read.
	Unlisted Kind = "unlisted"
)

// A kind knows where alerts of one [Kind] say what happened.
type kind struct {
	name    Kind
	matches func(*message) bool
	// dimensions collects names and values from alertContext.
	dimensions func(*message)
	// machines lists targets that are named elsewhere than in alertTargetIDs,
	// best first; the first list with a machine in it wins.
	machines []func(*message) []Target
	// customInContext: alertContext.properties are custom properties.
	customInContext bool
	noMachine       string // what to do where no machine is found
}

const (
	splitByMachine = "let the rule split by a dimension that names the machine"
	neverMachine   = "alerts of this kind are never about a machine; take the action group off the rule"
)

// kinds in the order in which they are tried. A new kind is one entry here and
// one payload in testdata.
var kinds = []kind{
	{
		name: ConnectionMonitor, matches: onConnectionMonitor,
		dimensions: conditionDimensions, customInContext: true,
		machines:  []func(*message) []Target{dimensionIDs("SourceResourceId"), dimensionIDs("DestinationResourceId")},
		noMachine: "let the rule split by SourceResourceId or DestinationResourceId",
	},
	{
		name: AvailabilityTest, matches: conditionType("WebtestLocationAvailabilityCriteria"),
		dimensions: conditionDimensions, customInContext: true, noMachine: neverMachine,
	},
	metricKind(MetricMultiResource, conditionType("MultipleResourceMultipleMetricCriteria")),
	metricKind(MetricDynamic, conditionType("DynamicThresholdCriteria")),
	metricKind(MetricStatic, conditionType("SingleResourceMultipleMetricCriteria")),
	{
		name: LogV2, matches: either(conditionType("LogQueryCriteria"), service("Log Alerts V2")),
		dimensions: conditionDimensions, customInContext: true,
		machines: logMachines, noMachine: splitByMachine + " (_ResourceId or Computer)",
	},
	{
		name: Prometheus, matches: either(service("Prometheus"), hasContext("ruleGroup", "expression")),
		dimensions: labelDimensions,
		machines:   []func(*message) []Target{dimensionIDs("microsoft.resourceid")},
		noMachine:  "let the expression keep the label microsoft.resourceid",
	},
	{name: SmartDetection, matches: service("SmartDetector"), noMachine: neverMachine},
	{name: Budget, matches: service("CostAlerts"), noMachine: neverMachine},
	{name: ServiceHealth, matches: service("ServiceHealth", "Service Health"), noMachine: neverMachine},
	{
		name: ResourceHealth, matches: service("ResourceHealth", "Resource Health"),
		noMachine: "the resource is no virtual machine or scale set",
	},
	activityKind(ActivityAdministrative, "Administrative", authorizationScope, propertyID("entity")),
	activityKind(ActivityPolicy, "Policy", authorizationScope, propertyID("entity")),
	activityKind(ActivityAutoscale, "Autoscale", propertyID("resourceName")),
	activityKind(ActivitySecurity, "Security", compromisedEntity),
	// V1 last: Log Analytics and Application Insights name the service, not
	// the kind.
	{
		name: LogV1, matches: either(service("Log Analytics", "Application Insights"), hasContext("SearchQuery")),
		dimensions: logV1Dimensions,
		machines:   logMachines, noMachine: splitByMachine + " (Computer)",
	},
	{
		name: Unlisted, matches: func(*message) bool { return true },
		noMachine: "the kind of alert is not known here, so only its alertTargetIDs are read",
	},
}

var logMachines = []func(*message) []Target{
	dimensionIDs("_ResourceId"), dimensionIDs("ResourceId"), dimensionIDs("Resource"),
	dimensionNames("Computer"), configurationItems,
}

func metricKind(name Kind, matches func(*message) bool) kind {
	return kind{
		name: name, matches: matches, dimensions: conditionDimensions, customInContext: true,
		machines: []func(*message) []Target{
			dimensionIDs("microsoft.resourceId"), dimensionIDs("ResourceId"),
		},
		noMachine: splitByMachine,
	}
}

func activityKind(name Kind, category string, machines ...func(*message) []Target) kind {
	return kind{
		name: name, machines: machines,
		matches:   service("Activity Log - " + category),
		noMachine: "the event is not about a virtual machine or scale set",
	}
}

func kindOf(m *message) kind {
	for _, k := range kinds {
		if k.matches(m) {
			return k
		}
	}
	return kind{}
}

func readKind(m *message) *Error {
	k := kindOf(m)
	m.Kind = k.name
	if k.dimensions != nil {
		k.dimensions(m)
	}
	if m.overflow != "" {
		return refuse(TooManyTargets, "dimension %+.64q has more than %d values; narrow the rule", m.overflow, MaxTargets)
	}
	condition := m.context.object("condition")
	m.WindowStart = window(condition.text("windowStartTime"), m.context.text("SearchIntervalStartTimeUtc"))
	m.WindowEnd = window(condition.text("windowEndTime"), m.context.text("SearchIntervalEndtimeUtc"))
	return nil
}

// window returns the first text that is a time. The window is shown, never
// acted upon, so an odd one is none.
func window(texts ...string) time.Time {
	for _, s := range texts {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

func service(names ...string) func(*message) bool {
	return func(m *message) bool {
		for _, name := range names {
			if strings.EqualFold(m.MonitoringService, name) {
				return true
			}
		}
		return false
	}
}

func conditionType(name string) func(*message) bool {
	return func(m *message) bool { return strings.EqualFold(m.context.text("conditionType"), name) }
}

func hasContext(keys ...string) func(*message) bool {
	return func(m *message) bool {
		for _, key := range keys {
			if m.context[lower(key)] == nil {
				return false
			}
		}
		return true
	}
}

func either(a, b func(*message) bool) func(*message) bool {
	return func(m *message) bool { return a(m) || b(m) }
}

// Kinds lists the kinds that are read, in the order in which they are tried.
func Kinds() []Kind {
	names := make([]Kind, 0, len(kinds))
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}
