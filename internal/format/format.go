// Package format is every byte that tidemark keeps at rest: keys, envelopes, packs, frames and the messages in
// tidemark.proto. It does no I/O. docs/format.md specifies it for readers in other languages.
//
// Everything that comes from a store is hostile until checked: the decoders here validate before they allocate, and
// what they return can be used without further checks of lengths, indices and order.
package format

import (
	"errors"
	"hash/crc32"

	"github.com/zeebo/blake3"
)

// Version is the newest format version that this package reads, and the one that it writes.
const Version = 1

// Sizes of the format.
const (
	NonceSize    = 16
	HashSize     = 32
	PageHashSize = 16

	// MaxRaw bounds the content of one frame, so that no reader has to allocate more on the word of a store.
	MaxRaw = 1 << 20
	// MaxHead and MaxManifest bound what is read of an object before its content is believed.
	MaxHead     = 64 << 20
	MaxManifest = 256 << 20
)

// What can be wrong with bytes at rest. Each wraps a detail.
var (
	ErrForeign = errors.New("not a tidemark object")
	ErrNewer   = errors.New("written by a newer version of tidemark")
	ErrCorrupt = errors.New("corrupt")
)

// Nonce is the random part of an object's name.
type Nonce [NonceSize]byte

// Hash identifies content: BLAKE3-256.
type Hash [HashSize]byte

// PageHash tells whether a page changed: the first 128 bits of its BLAKE3.
type PageHash [PageHashSize]byte

// Sum hashes content.
func Sum(b []byte) Hash { return Hash(blake3.Sum256(b)) }

// SumPage hashes a page.
func SumPage(b []byte) PageHash {
	h := blake3.Sum256(b)
	return PageHash(h[:PageHashSize])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C is the checksum of every envelope and frame, and the one that object stores keep.
func CRC32C(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// UpdateCRC32C continues a checksum.
func UpdateCRC32C(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }
