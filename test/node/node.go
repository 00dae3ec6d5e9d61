// Package node starts the servers that tests need and that run on Node.js.
package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/local/loopback"
)

// stamp is the file in node_modules that says for which lock file it is.
const stamp = ".installed-for"

// Unavailable skips the test, except in CI, where nothing may be missing.
func Unavailable(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip("skipped: ", err)
}

// Folder returns the folder test/name of this module, with its packages as
// package-lock.json has them: the first run downloads them, into node_modules
// there.
func Folder(name string) (string, error) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%s is not installed", tool)
		}
	}
	root, err := os.Getwd() // a test runs in its package's folder
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			return "", errors.New("test runs outside of the module")
		}
		root = filepath.Dir(root)
	}
	dir := filepath.Join(root, "test", name)
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return "", err
	}
	want := fmt.Appendf(nil, "%x\n", sha256.Sum256(lock))
	modules := filepath.Join(dir, "node_modules")
	if got, err := os.ReadFile(filepath.Join(modules, stamp)); err == nil && bytes.Equal(got, want) {
		return dir, nil
	}
	return dir, install(dir, modules, want)
}

// install puts the packages in place as a whole: test binaries run side by
// side, and each may find them missing.
func install(dir, modules string, want []byte) error {
	aside, err := os.MkdirTemp(dir, "node_modules.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	for _, name := range []string{"package.json", "package-lock.json"} {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(aside, name), body, 0o600)
		}
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	// No package's own scripts: none is needed.
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = aside
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci in %s: %w\n%s", dir, err, out)
	}
	fresh := filepath.Join(aside, "node_modules")
	if err := os.WriteFile(filepath.Join(fresh, stamp), want, 0o600); err != nil {
		return err
	}
	if err := os.Rename(fresh, modules); err == nil {
		return nil
	}
	// Something is there: another's, just now, or one of an older lock file.
	if got, err := os.ReadFile(filepath.Join(modules, stamp)); err == nil && bytes.Equal(got, want) {
		return nil
	}
	if err := os.Rename(modules, filepath.Join(aside, "old")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Rename(fresh, modules)
}

// orphan, evaluated before a server's own code, ends it with this process,
// however this process ends: then its standard input ends.
const orphan = `data:text/javascript,process.stdin.resume().on('end',()=>process.exit()).on('error',()=>process.exit())`

// Start runs a script with the arguments made of so many free ports, and waits
// until they answer. It ends with this process, or with the returned function.
func Start(dir, script string, ports int, args func(ports []int) []string) (got []int, stop func(), err error) {
	var taken []*loopback.Port
	release := func() {
		for _, p := range taken {
			_ = p.Close()
		}
	}
	for range ports {
		p, err := loopback.Take()
		if err != nil {
			release()
			return nil, nil, err
		}
		taken, got = append(taken, p), append(got, p.Number)
	}
	end, err := start(dir, script, args(got), func() error { return answer(got) })
	if err != nil {
		release()
		return nil, nil, err
	}
	return got, sync.OnceFunc(func() { end(); release() }), nil
}

func start(dir, script string, args []string, ready func() error) (stop func(), err error) {
	cmd := exec.Command("node", append([]string{"--import", orphan, script}, args...)...)
	cmd.Dir = dir
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = sync.OnceFunc(func() {
		_ = alive.Close()
		_ = cmd.Process.Kill()
		<-ended
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err = ready(); err == nil {
			return stop, nil
		}
		select {
		case err := <-ended:
			return nil, fmt.Errorf("%s ended: %w\n%s", script, err, said.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
	}
	stop()
	return nil, fmt.Errorf("%s does not answer: %w\n%s", script, err, said.Bytes())
}

// answer says whether somebody listens on each of the ports.
func answer(ports []int) error {
	for _, port := range ports {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			err = c.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
