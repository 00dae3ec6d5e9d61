package arm

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// observed has a span and a count for each request that is sent, retries
// included. Its names are those of resource types: what a path names stays out.
type observed struct{ policy.Transporter }

func (o observed) Do(r *http.Request) (*http.Response, error) {
	op := operation(r.Method, r.URL.Path)
	ctx, span := telemetry.Start(r.Context(), "ARM "+op, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		semconv.HTTPRequestMethodKey.String(r.Method), semconv.ServerAddress(r.URL.Hostname()),
		semconv.AzureResourceProviderNamespace(namespace(r.URL.Path))))
	resp, err := o.Transporter.Do(r.WithContext(ctx))
	code := "none"
	if err == nil {
		code = strconv.Itoa(resp.StatusCode)
		span.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
		for kind, header := range remaining {
			if n, convErr := strconv.ParseInt(resp.Header.Get(header), 10, 64); convErr == nil {
				telemetry.ThrottleLeft.Set(ctx, float64(n), kind)
			}
		}
	}
	telemetry.Requests.Add(ctx, 1, op, code)
	telemetry.End(span, unsaid(err))
	return resp, err
}

// unsaid is that there was no answer. The text of a transport's error has the
// URL in it.
func unsaid(err error) error {
	if err == nil {
		return nil
	}
	return unanswered("send", err)
}

// remaining are the headers in which Azure says what it still takes.
// https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
var remaining = map[string]string{
	"reads": "x-ms-ratelimit-remaining-subscription-reads", "writes": "x-ms-ratelimit-remaining-subscription-writes",
	"deletes": "x-ms-ratelimit-remaining-subscription-deletes",
}

// operations are the last words of paths that are resource types or actions of
// theirs. Any other path is "other": a label must not grow with what exists.
var operations = []string{
	"networkWatchers", "packetCaptures", "stop", "queryStatus", "virtualMachines", "virtualMachineScaleSets", "networkInterfaces",
	"storageAccounts", "extensions", "instanceView", "operations", "operationResults", "alerts", "permissions",
	"networkSecurityGroups", "securityRules", "effectiveNetworkSecurityGroups", "effectiveRouteTable", "ipFlowVerify", "nextHop", "topology",
	"routeTables", "subnets", "virtualNetworks", "azureFirewalls", "connectionMonitors", "flowLogs", "eventtypes",
}

// operation names what a request does: "PUT packetCaptures".
func operation(method, path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i := len(parts) - 1; i >= 0 && i >= len(parts)-2; i-- {
		for _, word := range operations {
			if strings.EqualFold(parts[i], word) {
				return method + " " + word
			}
		}
	}
	return method + " other"
}

// namespace is the resource provider of a path, if it is one that we ask.
func namespace(path string) string {
	lower := strings.ToLower(path)
	for _, known := range []string{"Microsoft.Network", "Microsoft.Compute", "Microsoft.Storage", "Microsoft.AlertsManagement", "Microsoft.Authorization", "Microsoft.Insights"} {
		if strings.Contains(lower, "/providers/"+strings.ToLower(known)+"/") {
			return known
		}
	}
	return "other"
}
