package filestore

import (
	"fmt"
	"path"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// control is the directory of the store's own files. No key leads there: a leading dot is always escaped.
const (
	control = ".tidemark"
	locks   = control + "/locks"
	temps   = control + "/tmp"
)

// forbidden are the characters that Windows does not allow in names, and the escape character itself.
const forbidden = `%<>:"\|?*`

// keyPath is the path of key's file below the root. Segments keep their names, but for a few characters that are
// percent-encoded.
func keyPath(op, key string) (string, error) {
	if err := objstore.CheckKey(op, key); err != nil {
		return "", err
	}
	segments := strings.Split(key, "/")
	for i, s := range segments {
		name := encode(s)
		if len(name) > objstore.MaxSegment {
			return "", &objstore.Error{
				Kind: objstore.KindInvalid, Op: op, Key: key,
				Err: fmt.Errorf("a segment needs %d bytes as a file name, %d is the limit", len(name), objstore.MaxSegment),
			}
		}
		segments[i] = name
	}
	return path.Join(segments...), nil
}

func encode(segment string) string {
	if !strings.ContainsAny(segment, forbidden) && !strings.HasPrefix(segment, ".") {
		return segment
	}
	var b strings.Builder
	for i := range len(segment) {
		c := segment[i]
		if strings.IndexByte(forbidden, c) >= 0 || i == 0 && c == '.' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// decode is the segment of a directory entry; ok is false for a file that is not the store's: only names
// that encode makes are objects.
func decode(name string) (segment string, ok bool) {
	if strings.HasPrefix(name, ".") {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b.WriteByte(name[i])
			continue
		}
		var c byte
		if i+2 >= len(name) {
			return "", false
		}
		if _, err := fmt.Sscanf(name[i+1:i+3], "%02X", &c); err != nil {
			return "", false
		}
		b.WriteByte(c)
		i += 2
	}
	segment = b.String()
	return segment, encode(segment) == name && objstore.CheckKey("list", segment) == nil
}
