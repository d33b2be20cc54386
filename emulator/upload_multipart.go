package emulator

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// multipartHead is what stands before the content in a multipart upload.
type multipartHead struct {
	metadata  []byte // JSON
	mediaType string // of the second part; empty if it does not say
}

// readHead reads body up to the content. media is the beginning of the content, as far as it was read, with whatever
// follows; read is how many bytes were read.
func readHead(body io.Reader, boundary string) (head multipartHead, media []byte, read int64, err error) {
	buf := make([]byte, 0, 4<<10)
	for {
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if head, rest, ok := parseHead(buf, "--"+boundary); ok {
			return head, rest, int64(len(buf)), nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return head, nil, 0, errInvalid("The body is not a multipart body of two parts with the boundary of its Content-Type.")
		case err != nil:
			return head, nil, 0, errInvalid("The request's body broke off after %d bytes: %v", len(buf), err)
		case len(buf) == cap(buf) && cap(buf) >= maxMetadata:
			return head, nil, 0, errInvalid("The metadata of the upload is longer than %d bytes.", maxMetadata)
		case len(buf) == cap(buf):
			buf = append(make([]byte, 0, 4*cap(buf)), buf...)
		}
	}
}

// parseHead reports whether b holds the whole head. Lines may end in LF alone, as some clients send them.
func parseHead(b []byte, delimiter string) (head multipartHead, rest []byte, ok bool) {
	_, b, ok = bytes.Cut(b, []byte(delimiter))
	if !ok {
		return head, nil, false
	}
	if _, b, ok = cutHeaders(b); !ok {
		return head, nil, false
	}
	if head.metadata, b, ok = bytes.Cut(b, []byte("\n"+delimiter)); !ok {
		return head, nil, false
	}
	head.mediaType, rest, ok = cutHeaders(b)
	return head, rest, ok
}

// cutHeaders cuts the rest of a delimiter's line and a part's headers off and returns the content type among them.
func cutHeaders(b []byte) (mediaType string, rest []byte, ok bool) {
	for first := true; ; first = false {
		var line []byte
		if line, b, ok = bytes.Cut(b, []byte("\n")); !ok {
			return "", nil, false
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 && !first {
			return mediaType, b, true
		}
		if name, value, found := strings.Cut(string(line), ":"); found && strings.EqualFold(name, "Content-Type") {
			mediaType = strings.TrimSpace(value)
		}
	}
}
