// Package azurite starts Microsoft's Blob service emulator for tests.
//
// What it does not do, and so no test here shows: immutability and legal hold
// (501), versioning, roles, soft delete.
package azurite

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pcapwarden/pcapwarden/test/node"
)

// A Server is an empty account of the emulator.
type Server struct{ port int }

var running = sync.OnceValues(func() (Server, error) {
	dir, err := node.Folder("azurite")
	if err != nil {
		return Server{}, err
	}
	ports, _, err := node.Start(dir, "node_modules/azurite/dist/src/blob/main.js", 1, func(ports []int) []string {
		return []string{
			"--blobHost", "127.0.0.1", "--blobPort", strconv.Itoa(ports[0]), "--inMemoryPersistence", "--silent",
			"--disableTelemetry",    // on by default
			"--skipApiVersionCheck", // the SDK asks for a newer version than any Azurite knows
		}
	})
	if err != nil {
		return Server{}, err
	}
	return Server{ports[0]}, nil
})

// Start returns the server of this test binary, which ends with it. Without
// Node.js the test is skipped, except in CI.
func Start(t testing.TB) Server {
	t.Helper()
	s, err := running()
	if err != nil {
		node.Unavailable(t, fmt.Errorf("azurite: %w", err))
	}
	return s
}

// Endpoint is the address of the account.
func (s Server) Endpoint() string { return fmt.Sprintf("http://127.0.0.1:%d/devstoreaccount1", s.port) }

// Setting is the connection string of a container, which need not exist.
func (s Server) Setting(container string) string {
	return "UseDevelopmentStorage=true;BlobEndpoint=" + s.Endpoint() + ";Container=" + container
}

// NewSetting is the connection string of a container that no other test has.
func (s Server) NewSetting() string { return s.Setting("test-" + strings.ToLower(rand.Text())) }
