package functionshost

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// hostToBeKilled runs a host in a process of its own, and prints its events.
func hostToBeKilled() int {
	h, err := Start(context.Background(), Config{
		AppDir:   os.Getenv("FUNCTIONSHOST_TEST_APP"),
		Settings: map[string]string{testMode: "good"},
		Observe:  func(e Event) { fmt.Println(e.Kind, e.Text) },
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	<-h.Done()
	return 1
}

var pidPattern = regexp.MustCompile(`(?:process |pid=)(\d+)`)

func pidOf(t *testing.T, text string) string {
	t.Helper()
	m := pidPattern.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no process id in %q", text)
	}
	return m[1]
}

// waitGone waits until a process is gone, or waits for a parent to notice.
func waitGone(t *testing.T, pid string) {
	t.Helper()
	for range 1000 {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			return
		}
		if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "Z") {
			return
		}
		time.Sleep(10 * time.Millisecond) // the kernel tells nobody but the parent
	}
	t.Errorf("process %s survives", pid)
}

func needLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("skipped: only on Linux does a handler end with its host")
	}
}

// Close leaves nothing running, not even what the handler started.
func TestCloseKillsAll(t *testing.T) {
	needLinux(t)
	c := goodApp(t)
	c.Grace = time.Millisecond
	h, events := startHost(t, c)
	if err := h.Fire(t.Context(), "text", []byte("child")); err != nil {
		t.Fatal(err)
	}
	child := pidOf(t, events.wait(t, 1, InvocationLog, "msg=child").Text)
	handler := pidOf(t, events.wait(t, 1, HandlerStarted, "").Text)
	hung := make(chan error)
	go func() { hung <- h.Fire(t.Context(), "text", []byte("hang")) }()
	events.wait(t, 1, HandlerLine, "hang")
	h.Close()
	if err := <-hung; err == nil {
		t.Error("the invocation that was cut off reports no error")
	}
	waitGone(t, handler)
	waitGone(t, child)
	if err := h.Fire(t.Context(), "sweep", nil); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Fire after Close = %v", err)
	}
	if h.Err() == nil {
		t.Error("Err is nil after Close")
	}
}

// The end of the context closes the host, with the running invocation done.
func TestContextCloses(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h, err := Start(ctx, goodApp(t))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-h.Done()
	h.Close()
}

// A host that is killed itself takes the handler along.
func TestKilledHostTakesHandlerAlong(t *testing.T) {
	needLinux(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	app := writeApp(t, strings.Replace(hostJSON, "%TEST_BINARY%", self, 1), map[string]string{"sweep": timerJSON})
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), testMode+"=host", "FUNCTIONSHOST_TEST_APP="+app)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var handler string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), string(HandlerStarted)) {
			handler = pidOf(t, lines.Text())
		}
		if strings.HasPrefix(lines.Text(), string(HandlerReady)) {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if handler == "" {
		t.Fatal("the host started no handler")
	}
	waitGone(t, handler)
}
