// Package format is every byte that tidemark keeps at rest: keys, envelopes, packs, frames and the messages in
// tidemark.proto. It does no I/O. docs/format.md specifies it for readers in other languages.
//
// Use EncodeHead, EncodeManifest, PackBuilder, AppendFrame, PageHasher and EncodeTable to write, and the Decode functions and SegmentTable
// to read; PackKey, ManifestKey and ParseKey for names. A DataKey seals what it is given to; a Keyring opens it.
//
// Everything that comes from a store is hostile until checked. A decoder never panics, allocates at most 16 times the length of its
// input plus 64 KiB (a frame: what its table says, at most MaxRaw), and what it returns can be used without
// further checks of lengths, indices and order. An encoder refuses what a decoder would.
package format

import (
	"errors"
	"hash/crc32"

	"github.com/zeebo/blake3"
)

// Version is the newest format version that this package reads, and the one that it writes. Version 1 is frozen: testdata/golden/v1 says what its bytes
// are, and no change of this package may make them mean something else.
const Version = 1

// Sizes of the format.
const (
	NonceSize    = 16
	HashSize     = 32
	PageHashSize = 16
	PageKeySize  = 16

	// MaxRaw bounds the content of one frame, so that no reader has to allocate more on the word of a store.
	MaxRaw = 1 << 20
	// MaxHead and MaxManifest bound what is read of an object before its content is believed.
	MaxHead     = 16 << 20 // 80,000 retained checkpoints
	MaxManifest = 256 << 20
	MaxHandle   = MaxManifest
	// MaxLastBody is the largest manifest that HEAD carries along: more would make every write of HEAD dearer than the request that it saves.
	MaxLastBody = 64 << 10

	// maxPack is above what stores take as one object, and keeps offsets far below the end of int64.
	maxPack = 1 << 40
	// maxSegment keeps the length of a segment in an int of 32 bits.
	maxSegment = 1 << 30
	// minPage is the smallest page that anything writes; smaller ones would cost too much table.
	minPage = 512
)

// What can be wrong with bytes at rest: an error of a decoder is exactly one of these, with a detail.
var (
	ErrForeign = errors.New("not a tidemark object")                  // somebody else's, or an error page
	ErrNewer   = errors.New("written by a newer version of tidemark") // upgrade; nothing is damaged
	ErrCorrupt = errors.New("corrupt")                                // damaged, or made to deceive
	ErrSealed  = errors.New("encrypted with a key that is not at hand")
)

// ErrInvalid is what an encoder answers to a value that no decoder would take.
var ErrInvalid = errors.New("cannot be stored")

// Nonce is the random part of an object's name.
type Nonce [NonceSize]byte

// Hash identifies content: BLAKE3-256.
type Hash [HashSize]byte

// Sum hashes content.
func Sum(b []byte) Hash { return Hash(blake3.Sum256(b)) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C is the checksum of every envelope and frame, and the one that object stores keep.
func CRC32C(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// UpdateCRC32C continues a checksum.
func UpdateCRC32C(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }
