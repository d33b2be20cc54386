package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
)

// Kind is the byte behind the magic that says what an object is.
type Kind byte

// The kinds of object.
const (
	KindHead       Kind = 'H'
	KindManifest   Kind = 'M'
	KindPack       Kind = 'P'
	KindHandle     Kind = 'W'
	KindAssignment Kind = 'J'
)

const (
	magic      = "TIDEMARK"
	headerSize = 16 // magic, kind, version, two reserved bytes, length of the body
	crcSize    = 4

	// startShown is how much of a foreign object its error quotes: enough to tell an HTML page or another product.
	startShown = 24
)

// flagSealed is the bit of byte 10 that says that the body is encrypted.
const flagSealed = 1

func appendHeader(b []byte, k Kind, flags byte, bodyLen int) []byte {
	b = append(b, magic...)
	b = append(b, byte(k), Version, flags, 0)
	return binary.LittleEndian.AppendUint32(b, uint32(bodyLen))
}

// envelope wraps a message.
func envelope(k Kind, body, tail []byte, s *Sealing, refers []byte) ([]byte, error) {
	e := enveloped{kind: k, size: len(body), tail: tail, sealing: s, refers: refers}
	e.body = func(b []byte) ([]byte, error) { return append(b, body...), nil }
	return e.encode()
}

// enveloped is an object to be made: header, body, tail, CRC32C of everything before.
type enveloped struct {
	kind    Kind
	size    int                            // of the body
	body    func(b []byte) ([]byte, error) // appends it
	tail    []byte
	sealing *Sealing // with it the body is sealed; the tail stays as it is
	refers  []byte   // of the prelude
	memory  func(n int) []byte
}

func (e *enveloped) encode() ([]byte, error) {
	s := e.sealing
	prelude, err := s.prelude(e.refers)
	if err != nil {
		return nil, err
	}
	n := e.size
	if s != nil {
		n += lengthSize + len(prelude) + tagSize
	}
	b := space(e.memory, headerSize+n+len(e.tail)+crcSize)
	if s == nil {
		b, err = e.body(appendHeader(b, e.kind, 0, n))
	} else {
		b = appendHeader(b, e.kind, flagSealed, n)
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(prelude))), prelude...)
		start := len(b)
		b, err = e.body(b)
		b = s.Key.derive(e.kind, s.Nonce[:]).aead.Seal(b[:start], zeroNonce[:], b[start:], b[:start]) // in its place
	}
	b = append(b, e.tail...)
	return binary.LittleEndian.AppendUint32(b, CRC32C(b)), err
}

// space is room for n bytes, empty.
func space(memory func(n int) []byte, n int) []byte {
	if memory == nil {
		return make([]byte, 0, n)
	}
	return memory(n)[:0]
}

// opened is what an envelope holds.
type opened struct {
	body, tail []byte  // alias the object, unless it was sealed
	sealed     *Sealed // nil: it was not
}

// open checks an envelope of at most limit bytes, and unseals it.
func open(k Kind, b []byte, limit int, keys Keyring) (opened, error) {
	raw, tail, err := unwrap(k, b, limit)
	if err != nil || b[10]&flagSealed == 0 {
		return opened{body: raw, tail: tail}, err
	}
	sealed, n, err := readPrelude(k, raw)
	if err != nil {
		return opened{}, err
	}
	key, err := keys.find(sealed.DataKey)
	if err != nil {
		return opened{}, err
	}
	if len(raw)-n < tagSize {
		return opened{}, fmt.Errorf("%w: nothing behind the prelude", ErrCorrupt)
	}
	body, err := key.derive(k, sealed.Nonce).aead.Open(nil, zeroNonce[:], raw[n:], b[:headerSize+n])
	if err != nil {
		return opened{}, errTampered
	}
	return opened{body: body, tail: tail, sealed: sealed}, nil
}

// decodePlain decodes the message of an envelope that has nothing else, and is never sealed.
func decodePlain(k Kind, b []byte, limit int, m proto.Message, s *shape) error {
	body, tail, err := unwrap(k, b, limit)
	if err != nil {
		return err
	}
	if len(tail) != 0 {
		return fmt.Errorf("%w: %s with %d bytes too many", ErrCorrupt, s.name, len(tail))
	}
	if err := unmarshal(body, m, s); err != nil {
		return corrupt(s.name, err)
	}
	return nil
}

// unwrap checks an envelope and returns its body and tail, which alias b.
func unwrap(k Kind, b []byte, limit int) (body, tail []byte, err error) {
	if err := checkHeader(k, b); err != nil {
		return nil, nil, err
	}
	if len(b) < headerSize+crcSize || len(b) > limit {
		return nil, nil, fmt.Errorf("%w: an envelope of %d bytes, where %d to %d are possible", ErrCorrupt, len(b), headerSize+crcSize, limit)
	}
	content, sum := b[:len(b)-crcSize], binary.LittleEndian.Uint32(b[len(b)-crcSize:])
	if got := CRC32C(content); got != sum {
		return nil, nil, fmt.Errorf("%w: CRC32C is %08x, the object says %08x", ErrCorrupt, got, sum)
	}
	n := uint64(binary.LittleEndian.Uint32(b[12:]))
	if n > uint64(len(content)-headerSize) {
		return nil, nil, fmt.Errorf("%w: body of %d bytes in an object of %d", ErrCorrupt, n, len(b))
	}
	return content[headerSize : headerSize+n], content[headerSize+n:], nil
}

// checkHeader tells a foreign object from a newer one before any checksum: another version may checksum otherwise.
func checkHeader(k Kind, b []byte) error {
	switch {
	case len(b) == 0:
		return fmt.Errorf("%w (it is empty)", ErrForeign)
	case len(b) < len(magic) && strings.HasPrefix(magic, string(b)):
		return fmt.Errorf("%w: cut off after %d bytes", ErrCorrupt, len(b))
	case !bytes.HasPrefix(b, []byte(magic)):
		return fmt.Errorf("%w (it starts with %q)", ErrForeign, b[:min(len(b), startShown)])
	case len(b) < headerSize:
		return fmt.Errorf("%w: cut off after %d bytes", ErrCorrupt, len(b))
	case b[9] > Version:
		return fmt.Errorf("%w: format version %d, this build reads up to %d", ErrNewer, b[9], Version)
	case b[9] == 0 || b[10]&^flagSealed != 0 || b[11] != 0:
		return fmt.Errorf("%w: bad header", ErrCorrupt)
	case Kind(b[8]) != k:
		return fmt.Errorf("%w: object of kind %q where %q belongs", ErrCorrupt, b[8], byte(k))
	case b[10]&flagSealed != 0 && labels[k] == "":
		return fmt.Errorf("%w: object of kind %q, which is never encrypted, says that it is", ErrCorrupt, b[8])
	}
	return nil
}

// corrupt says what of an object is wrong. An object is either corrupt or newer, never both.
func corrupt(what string, err error) error {
	if errors.Is(err, ErrNewer) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrCorrupt, what, err)
}
