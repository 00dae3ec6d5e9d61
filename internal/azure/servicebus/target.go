// Package servicebus sends to, and receives from, a queue of Azure Service
// Bus.
package servicebus

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

var (
	// https://learn.microsoft.com/rest/api/servicebus/create-namespace
	namespaceHost = regexp.MustCompile(`^[a-z][a-z0-9-]{4,48}[a-z0-9]\.servicebus\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)$`)
	queueName     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,258}[A-Za-z0-9])?$`)
)

const wantURL = "want sb://NAMESPACE.servicebus.windows.net/QUEUE"

// open returns a client for the queue that the setting names, without
// connecting:
//
//   - sb://NAMESPACE/QUEUE, with the identity cred; NAMESPACE may leave out
//     .servicebus.windows.net;
//   - the connection string of an emulator on this machine, with
//     UseDevelopmentEmulator=true and EntityPath=QUEUE: a key is no way to a
//     real namespace.
//
// Errors never show the setting, which may hold a key.
func open(setting string, cred azcore.TokenCredential) (client *azservicebus.Client, queue string, err error) {
	options := &azservicebus.ClientOptions{
		ApplicationID: "pcapwarden",
		RetryOptions:  azservicebus.RetryOptions{MaxRetries: 4, RetryDelay: 500 * time.Millisecond, MaxRetryDelay: 10 * time.Second},
	}
	if strings.HasPrefix(setting, "sb://") {
		host, queue, err := parseURL(setting)
		if err != nil {
			return nil, "", err
		}
		if cred == nil {
			return nil, "", fmt.Errorf("queue %q on %s: no identity to sign in with", queue, host)
		}
		client, err = azservicebus.NewClient(host, cred, options)
		if err != nil {
			return nil, "", fmt.Errorf("queue %q on %s: %w", queue, host, err)
		}
		return client, queue, nil
	}
	connection, queue, err := parseEmulator(setting)
	if err != nil {
		return nil, "", err
	}
	if client, err = azservicebus.NewClientFromConnectionString(connection, options); err != nil {
		return nil, "", errors.New("queue connection string: not usable")
	}
	return client, queue, nil
}

func parseURL(setting string) (host, queue string, err error) {
	u, err := url.Parse(setting)
	switch {
	case err != nil:
		return "", "", errors.New("queue: not a URL: " + wantURL)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", "", fmt.Errorf("queue on %q: no keys or fragments: %s, and the identity's role", u.Hostname(), wantURL)
	}
	host, queue = u.Host, strings.TrimPrefix(u.EscapedPath(), "/")
	if !strings.ContainsAny(host, ".:") {
		host += ".servicebus.windows.net"
	}
	if !namespaceHost.MatchString(host) {
		return "", "", fmt.Errorf("queue on %q: not a namespace: %s", u.Host, wantURL)
	}
	if !queueName.MatchString(queue) || strings.Contains(queue, "//") {
		return "", "", fmt.Errorf("queue on %q: %q is not a queue's name: %s", host, queue, wantURL)
	}
	return host, queue, nil
}

func parseEmulator(setting string) (connection, queue string, err error) {
	var endpoint string
	emulator := false
	kept := []string{}
	for pair := range strings.SplitSeq(setting, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		switch {
		case strings.TrimSpace(pair) == "":
			continue
		case !ok:
			return "", "", errors.New("queue: neither a URL nor a connection string: " + wantURL)
		case strings.EqualFold(name, "EntityPath"):
			queue = value
			continue // the SDK is told apart from the namespace
		case strings.EqualFold(name, "Endpoint"):
			endpoint = value
		case strings.EqualFold(name, "UseDevelopmentEmulator"):
			emulator = strings.EqualFold(value, "true")
		}
		kept = append(kept, strings.TrimSpace(pair))
	}
	u, err := url.Parse(endpoint)
	if err != nil || !emulator || u.Scheme != "sb" || !loopback(u.Hostname()) || u.User != nil {
		return "", "", errors.New("queue connection string: only for an emulator on this machine, with UseDevelopmentEmulator=true and Endpoint=sb://localhost; " +
			"for a namespace " + wantURL + " and an identity")
	}
	if !queueName.MatchString(queue) {
		return "", "", errors.New("queue connection string: add EntityPath=QUEUE")
	}
	return strings.Join(kept, ";"), queue, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || host == "localhost"
}
