package quic

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	dissecttls "github.com/pcapwarden/pcapwarden/internal/dissect/tls"
)

var (
	clientEnd = netip.MustParseAddrPort("10.0.0.5:50000")
	serverEnd = netip.MustParseAddrPort("203.0.113.7:443")
	rfcID, _  = hex.DecodeString("8394c8f03e515708")
)

// published are the client's and the server's keys for rfcID (RFC 9001, A.1;
// RFC 9369, A.1).
var published = map[Version][2]struct{ key, iv, hp string }{
	Version1: {
		{"1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2"},
		{"cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e", "c206b8d9b9f0f37644430b490eeaa314"},
	},
	Version2: {
		{"8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9"},
		{"82db637861d55e1d011f19ea71d5d2a7", "dd13c276499c0249d3310652", "edf6d05c83121201b436e16877593c3a"},
	},
}

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// publishedKeys are keys that were not derived by the code under test.
func publishedKeys(t testing.TB, v Version, side int) *keys {
	t.Helper()
	p := published[v][side]
	block, err := aes.NewCipher(fromHex(t, p.key))
	if err != nil {
		t.Fatal(err)
	}
	k := &keys{iv: [12]byte(fromHex(t, p.iv))}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	if k.mask, err = aes.NewCipher(fromHex(t, p.hp)); err != nil {
		t.Fatal(err)
	}
	return k
}

// seal makes a datagram with one Initial packet, as RFC 9001, 5 says.
func seal(k *keys, v Version, destination []byte, number uint32, frames []byte, size int) []byte {
	first := byte(0xc3) // number of four bytes
	if v == Version2 {
		first |= 0x10
	}
	b := []byte{first}
	b = binary.BigEndian.AppendUint32(b, uint32(v))
	b = append(append(b, byte(len(destination))), destination...)
	b = append(b, 0, 0) // no source id, no token
	pad := max(0, size-len(b)-2-4-len(frames)-16)
	frames = append(frames, make([]byte, pad)...)
	b = binary.BigEndian.AppendUint16(b, 0x4000|uint16(4+len(frames)+16))
	header := len(b)
	b = binary.BigEndian.AppendUint32(b, number)
	nonce := k.iv
	binary.BigEndian.PutUint32(nonce[8:], binary.BigEndian.Uint32(nonce[8:])^number)
	b = k.aead.Seal(b, nonce[:], frames, b)
	var mask [16]byte
	k.mask.Encrypt(mask[:], b[header+4:header+20])
	b[0] ^= mask[0] & 0x0f
	for i := range 4 {
		b[header+i] ^= mask[1+i]
	}
	return b
}

func crypto(offset int, data []byte) []byte {
	b := []byte{frameCrypto}
	b = binary.BigEndian.AppendUint16(b, 0x4000|uint16(offset))
	b = binary.BigEndian.AppendUint16(b, 0x4000|uint16(len(data)))
	return append(b, data...)
}

// clientHello is the one that crypto/tls sends over QUIC.
func clientHello(t testing.TB) []byte {
	t.Helper()
	c := tls.QUICClient(&tls.QUICConfig{TLSConfig: &tls.Config{ServerName: "example.test", NextProtos: []string{"h3"}, MinVersion: tls.VersionTLS13}})
	c.SetTransportParameters(nil)
	if err := c.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for {
		switch e := c.NextEvent(); e.Kind {
		case tls.QUICWriteData:
			return slices.Clone(e.Data)
		case tls.QUICNoEvent:
			t.Fatal("no ClientHello")
		}
	}
}

func TestInitials(t *testing.T) {
	hello := clientHello(t)
	serverHello := append([]byte{2, 0, 0, 40}, make([]byte, 40)...)
	for _, v := range []Version{Version1, Version2} {
		t.Run(v.String(), func(t *testing.T) {
			r := NewReader(clientEnd, serverEnd)
			k, s := publishedKeys(t, v, client), publishedKeys(t, v, server)
			// The pieces come in the wrong order, with a ping and padding.
			a := seal(k, v, rfcID, 0, append([]byte{framePing}, crypto(300, hello[300:])...), 1200)
			b := seal(k, v, rfcID, 1, append(crypto(100, hello[100:300]), crypto(0, hello[:120])...), 1200)
			if !LooksLikeInitial(a) {
				t.Error("it does not look like an Initial")
			}
			r.Datagram(clientEnd, 5, 1, a)
			if r.Connection().Hello != nil {
				t.Error("a ClientHello out of half of it")
			}
			r.Datagram(clientEnd, 6, 2, b)
			ack := []byte{frameAck, 1, 0, 0, 1}
			r.Datagram(serverEnd, 7, 3, seal(s, v, nil, 0, append(ack, crypto(0, serverHello)...), 1200))

			c := r.Connection()
			if c.Hello == nil {
				t.Fatal("no ClientHello")
			}
			if c.Hello.SNI != "example.test" || c.Hello.JA4[0] != 'q' || c.Hello.Frame != 2 {
				t.Errorf("hello = %+v", c.Hello)
			}
			got := *c
			got.Hello = nil
			want := Connection{Client: clientEnd, Server: serverEnd, Version: v, First: 5, Frame: 1, Initials: 2, Answered: true, ServerHello: true}
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				t.Errorf("connection (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]byte{1, 2}, r.Messages()); diff != "" || !r.Done() {
				t.Errorf("done %v, messages (-want +got):\n%s", r.Done(), diff)
			}
		})
	}
}

func TestRetry(t *testing.T) {
	hello := clientHello(t)
	r := NewReader(clientEnd, serverEnd)
	k := publishedKeys(t, Version1, client)
	other, err := initialKeys(Version1, []byte("chosen"), labels[client])
	if err != nil {
		t.Fatal(err)
	}
	r.Datagram(clientEnd, 1, 1, seal(k, Version1, rfcID, 0, crypto(0, hello[:50]), 1200))
	r.Datagram(serverEnd, 2, 2, []byte{0xf0, 0, 0, 0, 1, 0, 0, 't', 'o', 'k', 'e', 'n', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	r.Datagram(clientEnd, 3, 3, seal(other, Version1, []byte("chosen"), 1, crypto(0, hello), 1200))
	if c := r.Connection(); !c.Retry || c.Hello == nil {
		t.Errorf("connection = %+v, want a retry and then the hello", c)
	}
}

func TestVersionNegotiation(t *testing.T) {
	r := NewReader(clientEnd, serverEnd)
	r.Datagram(clientEnd, 1, 1, seal(publishedKeys(t, Version1, client), Version1, rfcID, 0, nil, 1200))
	r.Datagram(serverEnd, 2, 2, []byte{0x80, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4})
	if c := r.Connection(); !c.Negotiation || !r.Done() {
		t.Errorf("connection = %+v, done %v, want version negotiation and the end", c, r.Done())
	}
}

// A client that never comes to the point is not listened to for ever.
func TestLimits(t *testing.T) {
	r := NewReader(clientEnd, serverEnd)
	k := publishedKeys(t, Version1, client)
	for i := range 100 {
		r.Datagram(clientEnd, 1, 1, seal(k, Version1, rfcID, uint32(i), crypto(5+2*i, []byte{1}), 1200))
	}
	if !r.Done() || r.Connection().Initials != maxInitials+1 {
		t.Errorf("done %v after %d packets, want %d", r.Done(), r.Connection().Initials, maxInitials+1)
	}
	var a assembly
	if _, ok := a.add(1<<62, []byte{1}); ok || len(a.bytes) > 0 {
		t.Error("it makes room for what is far behind")
	}
}

func FuzzReader(f *testing.F) {
	hello := clientHello(f)
	f.Add(seal(publishedKeys(f, Version1, client), Version1, rfcID, 0, crypto(0, hello), 1200), []byte{0x80, 0, 0, 0, 0, 0, 0})
	f.Add(seal(publishedKeys(f, Version2, client), Version2, rfcID, 0, crypto(0, hello), 1200), []byte{0xf0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		r := NewReader(clientEnd, serverEnd)
		LooksLikeInitial(a)
		for range 3 {
			r.Datagram(clientEnd, 1, 1, a)
			r.Datagram(serverEnd, 1, 1, b)
		}
	})
}

// FuzzFrames reads what an attacker may put under the keys that all know.
func FuzzFrames(f *testing.F) {
	f.Add(append([]byte{frameAck, 1, 0, 0, 1, framePing}, crypto(0, clientHello(f))...), []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		r := NewReader(clientEnd, serverEnd)
		r.frames(client, a, 1)
		r.frames(client, b, 2)
		r.frames(server, b, 3)
		for i := range r.side {
			h := &r.side[i].hello
			if len(h.bytes) > maxHello || !slices.IsSortedFunc(h.have, func(x, y [2]uint64) int { return int(x[1]) - int(y[0]) }) {
				t.Errorf("%d bytes held, parts %v", len(h.bytes), h.have)
			}
		}
		if h := r.Connection().Hello; h != nil && len(h.SNI) > dissecttls.MaxName {
			t.Errorf("SNI of %d bytes", len(h.SNI))
		}
	})
}
