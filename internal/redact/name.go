package redact

import (
	"crypto/hmac"
	"crypto/sha512"
	"hash"
)

// A namer replaces what messages hold.
type namer struct {
	*mapper
	mac hash.Hash
	sum [sha512.Size]byte
}

func newNamer(m *mapper) *namer {
	return &namer{mapper: m, mac: hmac.New(sha512.New, m.options.Key.derive("names"))}
}

func (n *namer) IP4(b []byte) { n.ip4(b) }
func (n *namer) IP6(b []byte) { n.ip6(b) }
func (n *namer) MAC(b []byte) { n.mapper.mac(b) }

// Label makes a label of letters and digits that depends on the key, the label
// and all behind it: names that share an ending share one afterwards, and the
// same label in two zones becomes two. A label has 63 bytes at most (RFC
// 1035), a hash 64.
func (n *namer) Label(dst, name []byte) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	n.mac.Reset()
	n.mac.Write(name)
	n.mac.Sum(n.sum[:0])
	for i := range dst {
		dst[i] = alphabet[n.sum[i]%32]
	}
	if len(dst) > 0 {
		dst[0] = alphabet[n.sum[0]%26] // not a number, whatever follows
	}
}
