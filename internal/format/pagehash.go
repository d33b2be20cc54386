package format

import (
	"crypto/aes"
	"crypto/cipher"
)

// PageHash tells whether a page changed: its GMAC under the table's page key. Who does not know the key finds two pages of one hash
// by luck alone, and docs/format.md says how little of it there is.
type PageHash [PageHashSize]byte

// PageHasher hashes pages under one key, without allocating. Not safe for concurrent use.
type PageHasher struct {
	mac   cipher.AEAD
	nonce [gcmNonceSize]byte // zero: one key hashes all pages of a table, and equal pages have to come out equal
	sum   PageHash
}

// NewPageHasher prepares a key: 16 random bytes, or those of the table that pages are compared with.
func NewPageHasher(key [PageKeySize]byte) *PageHasher {
	return &PageHasher{mac: gcm(key[:])}
}

// Sum hashes a page.
func (h *PageHasher) Sum(page []byte) PageHash {
	h.mac.Seal(h.sum[:0], h.nonce[:], nil, page)
	return h.sum
}

// gcm makes AES-GCM of a key of 16 or 32 bytes.
func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("format: " + err.Error()) // the length of a key is no input
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic("format: " + err.Error())
	}
	return a
}
