package otlp

import (
	"cmp"
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// About describes the process to a collector: what runs, and where Azure says
// that it runs. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
// https://opentelemetry.io/docs/specs/semconv/resource/cloud-provider/azure/
func About(ctx context.Context, getenv func(string) string, version, mode, app string) (*resource.Resource, error) {
	name := "pcapwarden"
	if mode != "all" {
		name += "-" + mode
	}
	attrs := []attribute.KeyValue{
		semconv.ServiceName(name), semconv.ServiceVersion(version), attribute.String("pcapwarden.mode", mode),
	}
	if site := getenv("WEBSITE_SITE_NAME"); site != "" {
		instance := cmp.Or(getenv("WEBSITE_INSTANCE_ID"), getenv("WEBSITE_POD_NAME"))
		attrs = append(attrs, semconv.CloudProviderAzure, semconv.CloudPlatformAzureFunctions, semconv.FaaSName(site),
			semconv.FaaSInstance(instance), semconv.ServiceInstanceID(instance))
		if region := getenv("REGION_NAME"); region != "" {
			attrs = append(attrs, semconv.CloudRegion(strings.ToLower(strings.ReplaceAll(region, " ", ""))))
		}
		if strings.HasPrefix(app, "/") {
			attrs = append(attrs, semconv.CloudResourceID(app))
		}
	}
	return resource.New(ctx, resource.WithSchemaURL(semconv.SchemaURL), resource.WithAttributes(attrs...), resource.WithTelemetrySDK(), resource.WithFromEnv())
}
