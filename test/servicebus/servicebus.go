// Package servicebus starts a Service Bus broker for tests: AMQP 1.0 by npm's
// rhea, the semantics of queues by the JavaScript beside this file.
//
// The script conformance.sh holds it to the live tests of Microsoft's Go SDK.
package servicebus

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/test/node"
)

// A Broker is a namespace without topics and sessions.
type Broker struct{ amqp, control int }

// Options are the properties of a queue; zero values are the service's own.
type Options struct {
	LockDuration     time.Duration
	MaxDeliveryCount int
	DuplicateWindow  time.Duration // 0: no duplicate detection
}

var running = sync.OnceValues(func() (Broker, error) {
	b, _, err := start()
	return b, err
})

// Start returns the broker of this test binary, which ends with it. Without
// Node.js the test is skipped, except in CI.
func Start(t testing.TB) Broker {
	t.Helper()
	b, err := running()
	if err != nil {
		node.Unavailable(t, fmt.Errorf("service bus broker: %w", err))
	}
	return b
}

// StartOwn returns a broker that stop ends, for tests of its death.
func StartOwn(t testing.TB) (b Broker, stop func()) {
	t.Helper()
	b, stop, err := start()
	if err != nil {
		node.Unavailable(t, fmt.Errorf("service bus broker: %w", err))
	}
	t.Cleanup(stop)
	return b, stop
}

func start() (Broker, func(), error) {
	dir, err := node.Folder("servicebus")
	if err != nil {
		return Broker{}, nil, err
	}
	ports, stop, err := node.Start(dir, "broker.js", 2, func(ports []int) []string {
		return []string{strconv.Itoa(ports[0]), strconv.Itoa(ports[1])}
	})
	if err != nil {
		return Broker{}, nil, err
	}
	return Broker{amqp: ports[0], control: ports[1]}, stop, nil
}

// Namespace is the connection string, which is the emulator's.
func (b Broker) Namespace() string {
	return fmt.Sprintf("Endpoint=sb://127.0.0.1:%d;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true", b.amqp)
}

// Setting is the connection string of a queue, which need not exist.
func (b Broker) Setting(queue string) string { return b.Namespace() + ";EntityPath=" + queue }

// NewQueue makes a queue that no other test has, and returns its name.
func (b Broker) NewQueue(t testing.TB, o Options) string {
	t.Helper()
	options := map[string]int64{"duplicateWindowMs": o.DuplicateWindow.Milliseconds()}
	if o.LockDuration > 0 {
		options["lockMs"] = o.LockDuration.Milliseconds()
	}
	if o.MaxDeliveryCount > 0 {
		options["maxDeliveryCount"] = int64(o.MaxDeliveryCount)
	}
	body, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	name := "test-" + strings.ToLower(rand.Text())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("http://127.0.0.1:%d/%s", b.control, name), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err == nil {
		err = answer.Body.Close()
	}
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	if err != nil {
		t.Fatalf("make queue: %v", err)
	}
	return name
}
