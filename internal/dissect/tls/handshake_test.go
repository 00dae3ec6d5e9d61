package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// recording is what two real peers wrote, in order.
type recording struct {
	mu     sync.Mutex
	chunks []stream.Chunk
	closed []stream.Side
}

func (r *recording) write(from stream.Side, b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := int64(len(r.chunks) + 1)
	r.chunks = append(r.chunks, stream.Chunk{From: from, Time: pcap.Timestamp(n * 1e6), Frame: n, Data: slices.Clone(b)})
}

// tap is one end of a connection that is recorded.
type tap struct {
	net.Conn
	side stream.Side
	to   *recording
}

func (t tap) Write(b []byte) (int, error) {
	t.to.write(t.side, b)
	return t.Conn.Write(b)
}

func (t tap) Close() error {
	t.to.mu.Lock()
	t.to.closed = append(t.to.closed, t.side)
	t.to.mu.Unlock()
	return t.Conn.Close()
}

// connect returns the two ends of a connection that, other than a net.Pipe,
// lets both sides write at once.
func connect(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no loopback connections here: %v", err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// talk lets crypto/tls shake hands, and exchange a line if that works.
func talk(t testing.TB, client, server *tls.Config) *recording {
	t.Helper()
	rec := new(recording)
	a, b := connect(t)
	deadline := time.Now().Add(10 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	var wg sync.WaitGroup
	wg.Go(func() {
		c := tls.Server(tap{b, stream.Server, rec}, server)
		buf := make([]byte, 64)
		if n, err := c.Read(buf); err == nil {
			c.Write(buf[:n])
		}
		c.Close()
	})
	wg.Go(func() {
		c := tls.Client(tap{a, stream.Client, rec}, client)
		if _, err := c.Write([]byte("a question of forty bytes, more or less\n")); err == nil {
			c.Read(make([]byte, 64))
			c.Read(make([]byte, 64)) // session tickets, alerts
		}
		c.Close()
	})
	wg.Wait()
	return rec
}

// replay feeds a recording, in pieces of at most size bytes; 0: as written.
func replay(rec *recording, size int) (*Dissector, *Session) {
	d := NewDissector()
	r := d.NewReader(true, true)
	for _, c := range rec.chunks {
		for data := c.Data; len(data) > 0; {
			c.Data = data
			if size > 0 {
				c.Data = data[:min(size, len(data))]
			}
			data = data[len(c.Data):]
			r.Feed(c)
		}
	}
	for _, side := range rec.closed {
		r.Close(side, 0, int64(len(rec.chunks)+1), false)
	}
	return d, r.Session()
}

// certificate makes a certificate for example.test.
func certificate(t testing.TB, name string, after time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: after,
		DNSNames: []string{"example.test", "www.example.test"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func configs(t testing.TB, version uint16) (client, server *tls.Config) {
	cert := certificate(t, "example.test", time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC))
	client = &tls.Config{ServerName: "example.test", InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}}
	server = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: version, NextProtos: []string{"h2"}}
	return client, server
}

func TestHandshakes(t *testing.T) {
	tests := []struct {
		name    string
		version uint16
		change  func(client, server *tls.Config)

		stage   Stage
		history string
		counts  map[string]int
		alerts  map[string]int
		failure string // description, "encrypted" or nothing
		from    stream.Side
		check   func(*testing.T, *Session)
	}{
		{
			name: "tls10", version: tls.VersionTLS10, stage: StageEstablished, history: "CsxknGIFifDdLl",
			counts: map[string]int{"1": 1, "2": 1, "11": 1, "12": 1, "14": 1, "16": 1},
		},
		{
			name: "tls11", version: tls.VersionTLS11, stage: StageEstablished, history: "CsxknGIFifDdLl",
			counts: map[string]int{"1": 1, "2": 1, "11": 1, "12": 1, "14": 1, "16": 1},
		},
		{
			name: "tls12", version: tls.VersionTLS12, stage: StageEstablished, history: "CsxknGIFifDdLl",
			counts: map[string]int{"1": 1, "2": 1, "11": 1, "12": 1, "14": 1, "16": 1},
			check: func(t *testing.T, s *Session) {
				if len(s.Certificates) != 1 || s.Certificates[0].Subject != "example.test" || !s.Certificates[0].SelfSigned {
					t.Errorf("certificates = %+v, want the self-signed one of example.test", s.Certificates)
				}
				want := []string{"example.test", "www.example.test", "192.0.2.1"}
				if diff := cmp.Diff(want, s.Certificates[0].Names); diff != "" {
					t.Errorf("names (-want +got):\n%s", diff)
				}
				if s.ServerHello.ALPN != "h2" || s.Resumed {
					t.Errorf("ALPN %q, resumed %v, want h2 and no", s.ServerHello.ALPN, s.Resumed)
				}
			},
		},
		{
			name: "tls12_client_certificate", version: tls.VersionTLS12, stage: StageEstablished, history: "CsxkrnXGYIFifDdLl",
			change: func(c, s *tls.Config) {
				s.ClientAuth = tls.RequireAnyClientCert
				c.Certificates = s.Certificates
			},
			counts: map[string]int{"1": 1, "2": 1, "11": 2, "12": 1, "13": 1, "14": 1, "15": 1, "16": 1},
			check: func(t *testing.T, s *Session) {
				if len(s.ClientCertificates) != 1 {
					t.Errorf("client certificates = %+v, want one", s.ClientCertificates)
				}
			},
		},
		{
			name: "tls12_client_certificate_missing", version: tls.VersionTLS12, stage: StageClientKey, history: "CsxkrnXGIFl",
			change: func(c, s *tls.Config) { s.ClientAuth = tls.RequireAnyClientCert },
			counts: map[string]int{"1": 1, "2": 1, "11": 2, "12": 1, "13": 1, "14": 1, "16": 1},
			alerts: map[string]int{"40": 1}, failure: "handshake_failure", from: stream.Server,
		},
		{
			name: "tls12_unknown_authority", version: tls.VersionTLS12, stage: StageCertificate, history: "CsxknL",
			change: func(c, s *tls.Config) { c.InsecureSkipVerify, c.RootCAs = false, x509.NewCertPool() },
			counts: map[string]int{"1": 1, "2": 1, "11": 1, "12": 1, "14": 1},
			alerts: map[string]int{"42": 1}, failure: "bad_certificate", from: stream.Client,
		},
		{
			name: "old_version_refused", version: tls.VersionTLS11, stage: StageClientHello, history: "Cl",
			change: func(c, s *tls.Config) { s.MinVersion, s.MaxVersion = tls.VersionTLS12, tls.VersionTLS13 },
			counts: map[string]int{"1": 1}, alerts: map[string]int{"70": 1}, failure: "protocol_version", from: stream.Server,
		},
		{
			name: "no_common_cipher", version: tls.VersionTLS12, stage: StageClientHello, history: "Cl",
			change: func(c, s *tls.Config) {
				c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
			},
			counts: map[string]int{"1": 1}, alerts: map[string]int{"40": 1}, failure: "handshake_failure", from: stream.Server,
		},
		{
			name: "no_common_protocol", version: tls.VersionTLS12, stage: StageClientHello, history: "Cl",
			change: func(c, s *tls.Config) { c.NextProtos = []string{"spdy/1"} },
			counts: map[string]int{"1": 1}, alerts: map[string]int{"120": 1}, failure: "no_application_protocol", from: stream.Server,
		},
		{
			name: "tls13", version: tls.VersionTLS13, stage: StageEstablished, history: "CsifIFDd",
			counts: map[string]int{"1": 1, "2": 1},
			check: func(t *testing.T, s *Session) {
				if s.Version() != VersionTLS13 || s.Hello.MaxVersion() != VersionTLS13 || s.ServerHello.Group == 0 {
					t.Errorf("version %v of %v, group %d, want TLS 1.3 and a group", s.Version(), s.Hello.MaxVersion(), s.ServerHello.Group)
				}
				if s.Hello.SNI != "example.test" || len(s.Hello.ALPN) != 2 || s.Hello.CipherSuites == 0 || len(s.Hello.Groups) == 0 {
					t.Errorf("hello = %+v", s.Hello)
				}
			},
		},
		{
			name: "tls13_hello_retry", version: tls.VersionTLS13, stage: StageEstablished, history: "CjiICsfFDd",
			change: func(c, s *tls.Config) {
				c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
				s.CurvePreferences = []tls.CurveID{tls.CurveP256}
			},
			counts: map[string]int{"1": 2, "2": 2},
			check: func(t *testing.T, s *Session) {
				if s.HelloRetry == nil || s.HelloRetry.Group != uint16(tls.CurveP256) {
					t.Errorf("hello retry = %+v, want one for P-256", s.HelloRetry)
				}
			},
		},
		{
			name: "tls13_unknown_authority", version: tls.VersionTLS13, stage: StageServerFlight, history: "CsifIL",
			change:  func(c, s *tls.Config) { c.InsecureSkipVerify, c.RootCAs = false, x509.NewCertPool() },
			counts:  map[string]int{"1": 1, "2": 1},
			failure: "encrypted", from: stream.Client,
		},
		{
			name: "tls13_client_certificate", version: tls.VersionTLS13, stage: StageEstablished, history: "CsifIFDd",
			change: func(c, s *tls.Config) {
				s.ClientAuth = tls.RequireAnyClientCert
				c.Certificates = s.Certificates
			},
			counts: map[string]int{"1": 1, "2": 1},
		},
		{
			name: "tls13_client_certificate_missing", version: tls.VersionTLS13, stage: StageEstablished, history: "CsifIFDl",
			change:  func(c, s *tls.Config) { s.ClientAuth = tls.RequireAnyClientCert },
			counts:  map[string]int{"1": 1, "2": 1},
			failure: "encrypted", from: stream.Server,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, server := configs(t, tt.version)
			if tt.change != nil {
				tt.change(client, server)
			}
			rec := talk(t, client, server)
			d, s := replay(rec, 0)
			if tt.check != nil {
				tt.check(t, s)
			}
			if s.Stage() != tt.stage {
				t.Errorf("stage = %v, want %v", s.Stage(), tt.stage)
			}
			// The server's change of cipher after its retry, and what the client
			// answers, pass each other.
			history := strings.NewReplacer("jIiC", "jiIC", "jICi", "jiIC").Replace(s.History)
			if !strings.HasPrefix(history, strings.TrimRight(tt.history, "Ll")) || strings.HasSuffix(tt.history, "l") && tt.failure != "" && history != tt.history {
				t.Errorf("history = %q, want %q", s.History, tt.history)
			}
			c := d.Counters()
			if diff := cmp.Diff(tt.counts, c.HandshakeTypes); diff != "" {
				t.Errorf("handshake types (-want +got):\n%s", diff)
			}
			if tt.alerts != nil {
				if diff := cmp.Diff(tt.alerts, c.Alerts); diff != "" {
					t.Errorf("alerts (-want +got):\n%s", diff)
				}
			}
			a, failed := s.Failure()
			switch {
			case failed != (tt.failure != ""):
				t.Errorf("failure = %+v, want %q", a, tt.failure)
			case failed && a.From != tt.from:
				t.Errorf("failure from %v, want %v", a.From, tt.from)
			case failed && a.Encrypted != (tt.failure == "encrypted"), failed && !a.Encrypted && a.Description.String() != tt.failure:
				t.Errorf("failure = %+v, want %q", a, tt.failure)
			}
			// Where the bytes are cut makes no difference.
			for _, size := range []int{1, 7, 1400} {
				cutCounts, cut := replay(rec, size)
				if diff := cmp.Diff(s, cut, cmp.AllowUnexported(Session{})); diff != "" {
					t.Errorf("in pieces of %d bytes (-whole +cut):\n%s", size, diff)
				}
				if diff := cmp.Diff(c, cutCounts.Counters()); diff != "" {
					t.Errorf("counters in pieces of %d bytes (-whole +cut):\n%s", size, diff)
				}
			}
		})
	}
}

func TestResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := configs(t, version)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		_, first := replay(talk(t, client, server), 0)
		_, second := replay(talk(t, client, server), 0)
		if first.Resumed {
			t.Errorf("%#x: the first session counts as resumed", version)
		}
		if !second.Resumed || !second.Hello.Ticket || second.Stage() != StageEstablished {
			t.Errorf("%#x: the second session: resumed %v, ticket %v, stage %v", version, second.Resumed, second.Hello.Ticket, second.Stage())
		}
	}
}

func TestGap(t *testing.T) {
	client, server := configs(t, tls.VersionTLS12)
	rec := talk(t, client, server)
	d := NewDissector()
	r := d.NewReader(true, true)
	r.Gap(stream.Server, 0) // the ServerHello is missing
	r.Feed(stream.Chunk{From: stream.Server, Frame: 1, Data: []byte("some bytes in the middle")})
	for _, c := range rec.chunks {
		r.Feed(c)
	}
	if s := r.Session(); !s.Incomplete || s.ServerHello == nil || s.Stage() != StageEstablished {
		t.Errorf("after a gap: incomplete %v, stage %v", s.Incomplete, s.Stage())
	}
}

// Ciphertext that begins like a message, behind its ChangeCipherSpec in the
// same packet, is counted as tshark does and is the Finished all the same.
func TestFinishedLikeMessage(t *testing.T) {
	client, server := configs(t, tls.VersionTLS12)
	rec := talk(t, client, server)
	changed := false
	for _, c := range rec.chunks {
		if at := bytes.Index(c.Data, []byte{20, 3, 3, 0, 1, 1, 22, 3, 3}); c.From == stream.Client && at >= 0 {
			copy(c.Data[at+11:], []byte{11, 0, 0, 5}) // Certificate, of five bytes
			changed = true
		}
	}
	if !changed {
		t.Fatal("the client sends no ChangeCipherSpec with its Finished")
	}
	_, s := replay(rec, 0)
	if !strings.HasPrefix(s.History, "CsxknGIFifDd") {
		t.Errorf("history = %q", s.History)
	}
	if a, failed := s.Failure(); failed {
		t.Errorf("failure = %+v", a)
	}
}
