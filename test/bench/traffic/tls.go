package traffic

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"
)

// Record and message types (RFC 8446, 5.1 and 4).
const (
	changeCipherSpec = 20
	handshakeRecord  = 22
	applicationData  = 23

	clientHelloType = 1
	serverHelloType = 2
)

// tls plans a handshake, and returns how one more message is sent.
func (d *dialog) tls(to service) (say func(from int, n int)) {
	modern, resumed := d.one(70), d.one(40)
	d.say(client, record(handshakeRecord, d.clientHello(to.name, modern)))
	hello := record(handshakeRecord, d.serverHello(modern))
	ccs := record(changeCipherSpec, []byte{1})
	switch {
	case modern:
		flight := 3200
		if resumed {
			flight = 130
		}
		d.say(server, join(hello, ccs, record(applicationData, d.bytes(flight))))
		d.say(client, join(ccs, record(applicationData, d.bytes(4+32+1+16))))
	case resumed:
		finished := record(handshakeRecord, d.bytes(40))
		d.say(server, join(hello, ccs, finished))
		d.say(client, join(ccs, finished))
	default:
		exchange := join([]byte{3, 0, 29, 32}, d.bytes(32), []byte{8, 7, 0, 64}, d.bytes(64)) // X25519, signed with Ed25519
		d.say(server, join(hello, record(handshakeRecord, to.certificates),
			record(handshakeRecord, message(12, exchange)), record(handshakeRecord, message(14, nil))))
		d.say(client, join(record(handshakeRecord, message(16, join([]byte{32}, d.bytes(32)))), ccs, record(handshakeRecord, d.bytes(40))))
		d.say(server, join(ccs, record(handshakeRecord, d.bytes(40))))
	}
	return func(from, n int) {
		var out []byte
		for ; n > 0; n -= 1 << 14 {
			out = append(out, record(applicationData, d.bytes(min(n, 1<<14)+17))...)
		}
		d.say(from, out)
	}
}

func record(kind byte, body []byte) []byte {
	return append([]byte{kind, 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
}

func message(kind byte, body []byte) []byte {
	return append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

func join(all ...[]byte) []byte {
	var out []byte
	for _, b := range all {
		out = append(out, b...)
	}
	return out
}

func extension(b []byte, kind uint16, body []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

// clientHello is as long as browsers make it: 512 bytes.
func (m *maker) clientHello(name string, modern bool) []byte {
	b := append([]byte{3, 3}, m.bytes(32)...)
	b = append(append(b, 32), m.bytes(32)...)
	b = append(b, 0, 16, 0x13, 1, 0x13, 2, 0x13, 3, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9, 1, 0)
	n := byte(len(name))
	x := extension(nil, 0, append([]byte{0, n + 3, 0, 0, n}, name...))
	x = extension(x, 10, []byte{0, 6, 0, 29, 0, 23, 0, 24})
	x = extension(x, 11, []byte{1, 0})
	x = extension(x, 13, []byte{0, 12, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1})
	x = extension(x, 16, []byte{0, 12, 2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'})
	x = extension(x, 23, nil)
	if modern {
		x = extension(x, 43, []byte{4, 3, 4, 3, 3})
		x = extension(x, 51, append([]byte{0, 36, 0, 29, 0, 32}, m.bytes(32)...))
	}
	if fill := 512 - 4 - len(b) - 2 - len(x) - 4; fill > 0 {
		x = extension(x, 21, make([]byte, fill))
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(x)))
	return message(clientHelloType, append(b, x...))
}

func (m *maker) serverHello(modern bool) []byte {
	b := append([]byte{3, 3}, m.bytes(32)...)
	b = append(append(b, 32), m.bytes(32)...)
	x := extension(nil, 23, nil)
	if modern {
		b = append(b, 0x13, 1, 0)
		x = extension(nil, 43, []byte{3, 4})
		x = extension(x, 51, append([]byte{0, 29, 0, 32}, m.bytes(32)...))
	} else {
		b = append(b, 0xc0, 0x2f, 0)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(x)))
	return message(serverHelloType, append(b, x...))
}

// certificates returns a Certificate message with a chain of two. Ed25519
// needs no randomness to sign, so that the chain is always the same.
func certificates(name string, serial int64) []byte {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	year := start.Time()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Made-up CA", Organization: []string{"Nobody"}},
		NotBefore: year.AddDate(-5, 0, 0), NotAfter: year.AddDate(5, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: year.Add(-30 * 24 * time.Hour), NotAfter: year.Add(60 * 24 * time.Hour),
	}
	for i := range 40 {
		leaf.DNSNames = append(leaf.DNSNames, fmt.Sprintf("service-%d.%s", i, name))
	}
	var list []byte
	for _, c := range []*x509.Certificate{leaf, authority} {
		der, err := x509.CreateCertificate(nil, c, authority, key.Public(), key)
		if err != nil {
			panic(fmt.Sprintf("make a certificate: %v", err)) // the templates are right, or this is a bug
		}
		list = append(list, byte(len(der)>>16), byte(len(der)>>8), byte(len(der)))
		list = append(list, der...)
	}
	return message(11, append([]byte{byte(len(list) >> 16), byte(len(list) >> 8), byte(len(list))}, list...))
}
