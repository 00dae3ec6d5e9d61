package servicebus

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

type identity struct{}

func (identity) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "SECRET", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestTargets(t *testing.T) {
	const key = ";SharedAccessKeyName=n;SharedAccessKey=SECRET"
	for _, test := range []struct{ setting, want string }{ // want: the queue, or what the error says
		{"sb://contoso.servicebus.windows.net/incidents", "incidents"},
		{"sb://contoso/incidents", "incidents"},
		{"sb://contoso.servicebus.usgovcloudapi.net/team/incidents", "team/incidents"},
		{"Endpoint=sb://127.0.0.1:5672" + key + ";UseDevelopmentEmulator=true;EntityPath=incidents", "incidents"},
		{"Endpoint=sb://localhost" + key + ";EntityPath=incidents;UseDevelopmentEmulator=true;", "incidents"},

		{"sb://contoso.servicebus.windows.net/incidents?key=SECRET", "no keys"},
		{"sb://u:SECRET@contoso.servicebus.windows.net/incidents", "no keys"},
		{"sb://contoso.servicebus.windows.net.evil.example/incidents", "not a namespace"},
		{"sb://169.254.169.254/incidents", "not a namespace"},
		{"sb://contoso.servicebus.windows.net:5671/incidents", "not a namespace"},
		{"sb://localhost:5672/incidents", "not a namespace"},
		{"sb://contoso.servicebus.windows.net/", "not a queue's name"},
		{"sb://contoso.servicebus.windows.net/a//b", "not a queue's name"},
		{"sb://contoso.servicebus.windows.net/$management", "not a queue's name"},
		{"sb://contoso.servicebus.windows.net/%2e%2e", "not a queue's name"},
		{"https://contoso.servicebus.windows.net/incidents", "neither a URL nor"},
		{"", "only for an emulator"},
		{"Endpoint=sb://contoso.servicebus.windows.net/" + key + ";EntityPath=incidents", "only for an emulator"},
		{"Endpoint=sb://contoso.servicebus.windows.net/" + key + ";EntityPath=incidents;UseDevelopmentEmulator=true", "only for an emulator"},
		{"Endpoint=sb://localhost" + key + ";EntityPath=incidents", "only for an emulator"},
		{"Endpoint=sb://localhost" + key + ";UseDevelopmentEmulator=true", "add EntityPath"},
		{"Endpoint=sb://localhost;SharedAccessKey=SECRET;UseDevelopmentEmulator=true;EntityPath=q", "not usable"},
	} {
		client, got, err := open(test.setting, identity{})
		if err != nil {
			got = err.Error()
		} else if err := client.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if !strings.Contains(got, test.want) || err == nil && got != test.want {
			t.Errorf("open(%q) = %s, want %s", test.setting, got, test.want)
		}
		if strings.Contains(got, "SECRET") {
			t.Errorf("open(%q) shows a secret: %s", test.setting, got)
		}
	}
	if _, err := NewSender("sb://contoso/incidents", nil); err == nil {
		t.Error("NewSender without an identity went well")
	}
}
