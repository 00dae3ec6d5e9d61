package quic

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// keys protect the Initial packets that one side sends.
type keys struct {
	aead cipher.AEAD
	iv   [12]byte
	mask cipher.Block
}

// Salts of the Initial secrets (RFC 9001, 5.2; RFC 9369, 3.3.1).
var (
	salt1 = []byte{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}
	salt2 = []byte{0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9}
)

// initialKeys derives the keys of a side ("client in", "server in") from the
// destination connection id of the client's first packet, as anybody can.
func initialKeys(v Version, id []byte, side string) (*keys, error) {
	salt, prefix := salt1, "quic "
	if v == Version2 {
		salt, prefix = salt2, "quicv2 "
	}
	initial, err := hkdf.Extract(sha256.New, id, salt)
	if err != nil {
		return nil, err
	}
	secret, err := expand(initial, side, 32)
	if err != nil {
		return nil, err
	}
	key, err := expand(secret, prefix+"key", 16)
	if err != nil {
		return nil, err
	}
	iv, err := expand(secret, prefix+"iv", 12)
	if err != nil {
		return nil, err
	}
	hp, err := expand(secret, prefix+"hp", 16)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	k := &keys{iv: [12]byte(iv)}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	k.mask, err = aes.NewCipher(hp)
	return k, err
}

// expand is HKDF-Expand-Label of TLS 1.3 without context (RFC 8446, 7.1).
func expand(secret []byte, label string, length int) ([]byte, error) {
	label = "tls13 " + label
	var info []byte
	info = binary.BigEndian.AppendUint16(info, uint16(length))
	info = append(info, byte(len(label)))
	info = append(info, label...)
	info = append(info, 0)
	return hkdf.Expand(sha256.New, secret, string(info), length)
}

// open removes the protection of a packet (RFC 9001, 5.3 and 5.4) into dst.
// header is the offset of the packet number; packet ends with the packet.
func (k *keys) open(dst, packet []byte, header int) ([]byte, bool) {
	if len(packet) < header+4+16 {
		return nil, false
	}
	var mask [aes.BlockSize]byte
	k.mask.Encrypt(mask[:], packet[header+4:header+4+16])
	first := packet[0] ^ mask[0]&0x0f
	n := int(first&3) + 1

	var space [maxHeader]byte
	if header+n > len(space) {
		return nil, false
	}
	aad := append(space[:0], packet[:header+n]...)
	aad[0] = first
	number := uint64(0)
	for i := range n {
		aad[header+i] ^= mask[1+i]
		number = number<<8 | uint64(aad[header+i])
	}
	nonce := k.iv
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^number)
	plain, err := k.aead.Open(dst, nonce[:], packet[header+n:], aad)
	return plain, err == nil
}
