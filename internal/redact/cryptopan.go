package redact

import (
	"crypto/aes"
	"crypto/cipher"
)

// pan is Crypto-PAn (Xu, Fan, Ammar, Moon: "Prefix-Preserving IP Address
// Anonymization", ICNP 2002) with AES-128: two addresses that share their
// first n bits, and no more, share n bits and no more afterwards. IPv6 is done
// the same way over 128 bits.
type pan struct {
	block cipher.Block
	pad   [aes.BlockSize]byte
	in    [aes.BlockSize]byte
	out   [aes.BlockSize]byte
}

func newPAN(k Key) *pan {
	block, err := aes.NewCipher(k[:16])
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	p := &pan{block: block}
	block.Encrypt(p.pad[:], k[16:])
	return p
}

// anonymize replaces addr, of 4 or 16 bytes, but leaves its first keep bits.
// Bit i is flipped by the first bit of the encryption of the i bits before it,
// filled up with the pad.
func (p *pan) anonymize(addr []byte, keep int) {
	var flips [aes.BlockSize]byte
	p.in = p.pad
	for i := range len(addr) * 8 {
		if i >= keep {
			p.block.Encrypt(p.out[:], p.in[:])
			flips[i/8] |= p.out[0] >> 7 << (7 - i%8)
		}
		bit := byte(0x80) >> (i % 8)
		p.in[i/8] = p.in[i/8]&^bit | addr[i/8]&bit
	}
	for i := range addr {
		addr[i] ^= flips[i]
	}
}
