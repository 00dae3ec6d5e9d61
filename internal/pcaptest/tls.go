package pcaptest

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// tlsRecords makes the records of a line
//
//	tls client-hello [sni=NAME] [version=1.2] [alpn=A;B]
//	tls server-hello [version=1.2]
//	tls certificate [cn=NAME] [names=A;B] [issuer=NAME] [from=2026-01-01] [until=2026-03-01]
//	tls no-certificate                 a client's Certificate message without one
//	tls certificate-request | server-done | client-key | change-cipher | finished
//	tls alert LEVEL DESCRIPTION        numbers; "tls alert encrypted" hides them
//	tls data N
//
// Several may follow each other, separated by "+". Version is what is offered
// or chosen: ssl3, 1.0 to 1.3. In 1.3 all that follows the ServerHello looks
// like data: a client's Finished is "tls data 53", an alert "tls data 19".
func tlsRecords(l *line) ([]byte, error) {
	version, err := tlsVersion(l.values["version"])
	if err != nil {
		return nil, err
	}
	var out []byte
	words := l.words[1:]
	for len(words) > 0 {
		n := 1
		switch words[0] {
		case "+":
		case "client-hello":
			out = append(out, handshake(1, clientHello(version, l.values["sni"], l.values["alpn"]))...)
		case "server-hello":
			out = append(out, handshake(2, serverHello(version))...)
		case "certificate":
			body, err := certificate(l.values)
			if err != nil {
				return nil, err
			}
			out = append(out, handshake(11, body)...)
		case "no-certificate":
			out = append(out, handshake(11, []byte{0, 0, 0})...)
		case "certificate-request": // one type, one signature algorithm, no names
			out = append(out, handshake(13, []byte{1, 64, 0, 2, 4, 3, 0, 0})...)
		case "server-done":
			out = append(out, handshake(14, nil)...)
		case "client-key":
			out = append(out, handshake(16, make([]byte, 66))...)
		case "change-cipher":
			out = append(out, record(20, []byte{1})...)
		case "finished":
			out = append(out, record(22, bytesOf(40))...)
		case "alert":
			if len(words) > 1 && words[1] == "encrypted" {
				out = append(out, record(21, bytesOf(26))...)
				n = 2
				break
			}
			if len(words) < 3 {
				return nil, fmt.Errorf("want tls alert LEVEL DESCRIPTION")
			}
			level, err := strconv.ParseUint(words[1], 10, 8)
			if err != nil {
				return nil, err
			}
			description, err := strconv.ParseUint(words[2], 10, 8)
			if err != nil {
				return nil, err
			}
			out = append(out, record(21, []byte{byte(level), byte(description)})...)
			n = 3
		case "data":
			if len(words) < 2 {
				return nil, fmt.Errorf("want tls data N")
			}
			size, err := strconv.Atoi(words[1])
			if err != nil {
				return nil, err
			}
			out = append(out, record(23, bytesOf(size))...)
			n = 2
		default:
			return nil, fmt.Errorf("no such TLS message: %s", words[0])
		}
		words = words[n:]
	}
	return out, nil
}

func tlsVersion(s string) (uint16, error) {
	switch s {
	case "ssl3":
		return 0x0300, nil
	case "1.0":
		return 0x0301, nil
	case "1.1":
		return 0x0302, nil
	case "", "1.2":
		return 0x0303, nil
	case "1.3":
		return 0x0304, nil
	}
	return 0, fmt.Errorf("TLS version %q", s)
}

// bytesOf is content that looks encrypted enough: no length field in it makes sense.
func bytesOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(0xa5 ^ i*37)
	}
	return b
}

func record(contentType byte, body []byte) []byte {
	return append([]byte{contentType, 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
}

func handshake(messageType byte, body []byte) []byte {
	head := []byte{messageType, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}
	return record(22, append(head, body...))
}

func clientHello(version uint16, sni, alpn string) []byte {
	b := binary.BigEndian.AppendUint16(nil, min(version, 0x0303))
	b = append(b, bytesOf(32)...)
	b = append(b, 0)                                        // session ID
	b = append(b, 0, 6, 0xc0, 0x2b, 0xc0, 0x2f, 0x13, 0x01) // cipher suites
	b = append(b, 1, 0)                                     // compression
	var extensions []byte
	if sni != "" {
		name := append([]byte{0, byte(len(sni) >> 8), byte(len(sni))}, sni...)
		list := append(binary.BigEndian.AppendUint16(nil, uint16(len(name))), name...)
		extensions = extension(extensions, 0, list)
	}
	if alpn != "" {
		var list []byte
		for name := range strings.SplitSeq(alpn, ";") {
			list = append(append(list, byte(len(name))), name...)
		}
		extensions = extension(extensions, 16, append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...))
	}
	extensions = extension(extensions, 10, []byte{0, 4, 0, 29, 0, 23})
	if version >= 0x0304 {
		extensions = extension(extensions, 43, []byte{4, 3, 4, 3, 3})
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(extensions)))
	return append(b, extensions...)
}

func serverHello(version uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, min(version, 0x0303))
	b = append(b, bytesOf(32)...)
	suite := []byte{0xc0, 0x2b}
	if version >= 0x0304 {
		suite = []byte{0x13, 0x01}
	}
	b = append(b, 0)
	b = append(b, suite...)
	b = append(b, 0)
	var extensions []byte
	if version >= 0x0304 {
		extensions = extension(extensions, 43, []byte{3, 4})
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(extensions)))
	return append(b, extensions...)
}

func extension(all []byte, number uint16, body []byte) []byte {
	all = binary.BigEndian.AppendUint16(all, number)
	all = binary.BigEndian.AppendUint16(all, uint16(len(body)))
	return append(all, body...)
}

func certificate(values map[string]string) ([]byte, error) {
	cn := cmp.Or(values["cn"], "server.example")
	names := []string{cn}
	if values["names"] != "" {
		names = strings.Split(values["names"], ";")
	}
	start, end := Epoch.AddDate(-1, 0, 0), Epoch.AddDate(1, 0, 0)
	for name, at := range map[string]*time.Time{"from": &start, "until": &end} {
		if values[name] == "" {
			continue
		}
		var err error
		if *at, err = time.Parse(time.DateOnly, values[name]); err != nil {
			return nil, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), nil)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, DNSNames: names,
		NotBefore: start, NotAfter: end,
	}
	parent := template
	if values["issuer"] != "" {
		parent = &x509.Certificate{Subject: pkix.Name{CommonName: values["issuer"]}}
	}
	der, err := x509.CreateCertificate(nil, template, parent, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	entry := append([]byte{byte(len(der) >> 16), byte(len(der) >> 8), byte(len(der))}, der...)
	return append([]byte{byte(len(entry) >> 16), byte(len(entry) >> 8), byte(len(entry))}, entry...), nil
}
