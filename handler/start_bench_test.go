package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/local/loopback"
)

// BenchmarkStart is the time from starting the program to its port being open,
// which the host takes for readiness: every cold start pays it. The program is
// the test binary, which is larger.
//
//	go test ./handler -run '^$' -bench Start
func BenchmarkStart(b *testing.B) {
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	policy, err := filepath.Abs("../policy.sample.yaml")
	if err != nil {
		b.Fatal(err)
	}
	env := append(os.Environ(), asProgram+"=1",
		"PCAPWARDEN_POLICY="+policy, "PCAPWARDEN_RECORDS=file:"+dir+"/cases", "PCAPWARDEN_VAULT=file:"+dir+"/vault",
		"PCAPWARDEN_REPORTS=file:"+dir+"/reports", "PCAPWARDEN_INCIDENT_QUEUE=file:"+dir+"/incidents", "PCAPWARDEN_LANDED_QUEUE=file:"+dir+"/landed",
		"PCAPWARDEN_CREDENTIAL=local", "PCAPWARDEN_ARM_ENDPOINT=http://127.0.0.1:1", "PCAPWARDEN_AUTH=none", "PCAPWARDEN_SIGNING_KEY=file:"+dir+"/key.pem")
	for b.Loop() {
		port, err := loopback.Take()
		if err != nil {
			b.Fatal(err)
		}
		number := strconv.Itoa(port.Number)
		c := exec.Command(program, "serve")
		c.Env = append(env, "FUNCTIONS_CUSTOMHANDLER_PORT="+number)
		if err := c.Start(); err != nil {
			b.Fatal(err)
		}
		for deadline := time.Now().Add(30 * time.Second); ; {
			conn, err := net.Dial("tcp4", "127.0.0.1:"+number)
			if err == nil {
				conn.Close()
				break
			}
			if time.Now().After(deadline) {
				b.Fatal("it does not become ready")
			}
			time.Sleep(500 * time.Microsecond)
		}
		b.StopTimer()
		c.Process.Kill()
		c.Wait()
		port.Close()
		b.StartTimer()
	}
}
