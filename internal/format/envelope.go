package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Kind is the byte behind the magic that says what an object is.
type Kind byte

// The kinds of object.
const (
	KindHead     Kind = 'H'
	KindManifest Kind = 'M'
	KindPack     Kind = 'P'
)

const (
	magic      = "TIDEMARK"
	headerSize = 16 // magic, kind, version, two reserved bytes, length of the body
	crcSize    = 4

	// startShown is how much of a foreign object its error quotes: enough to tell an HTML page or another product.
	startShown = 24
)

func appendHeader(b []byte, k Kind, bodyLen int) []byte {
	b = append(b, magic...)
	b = append(b, byte(k), Version, 0, 0)
	return binary.LittleEndian.AppendUint32(b, uint32(bodyLen))
}

// seal wraps a message and an optional tail: header, body, tail, CRC32C of everything before.
func seal(k Kind, body, tail []byte) []byte {
	b := make([]byte, 0, headerSize+len(body)+len(tail)+crcSize)
	b = appendHeader(b, k, len(body))
	b = append(b, body...)
	b = append(b, tail...)
	return binary.LittleEndian.AppendUint32(b, CRC32C(b))
}

// unseal checks an envelope of at most limit bytes and returns its body and tail, which alias b.
func unseal(k Kind, b []byte, limit int) (body, tail []byte, err error) {
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
	case b[9] == 0 || b[10] != 0 || b[11] != 0:
		return fmt.Errorf("%w: bad header", ErrCorrupt)
	case Kind(b[8]) != k:
		return fmt.Errorf("%w: object of kind %q where %q belongs", ErrCorrupt, b[8], byte(k))
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
