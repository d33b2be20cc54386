package emulator

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
)

// checksums are what a client says about the content that it uploads, in base64; empty if it does not.
type checksums struct {
	crc32c, md5 string
}

// addHeaders adds what the headers say. A checksum that contradicts one given before is refused.
func (c *checksums) addHeaders(h http.Header) error {
	for _, line := range h.Values("X-Goog-Hash") {
		for hash := range strings.SplitSeq(line, ",") {
			kind, sum, _ := strings.Cut(strings.TrimSpace(hash), "=")
			switch kind {
			case "crc32c":
				if err := c.set(&c.crc32c, sum); err != nil {
					return err
				}
			case "md5":
				if err := c.set(&c.md5, sum); err != nil {
					return err
				}
			}
		}
	}
	if sum := h.Get("Content-Md5"); sum != "" {
		return c.set(&c.md5, sum)
	}
	return nil
}

func (c *checksums) set(field *string, sum string) error {
	if *field != "" && *field != sum {
		return errInvalid("The request declares two different checksums of one kind, %q and %q.", *field, sum)
	}
	*field = sum
	return nil
}

// verify compares o's content with what was said about it. MD5 is computed only then.
func (c *checksums) verify(o *object) error {
	if got := encodeCRC(o.crc); c.crc32c != "" && c.crc32c != got {
		return errInvalid("Provided CRC32C %q doesn't match calculated CRC32C %q.", c.crc32c, got)
	}
	if c.md5 == "" {
		return nil
	}
	sum := o.content.md5()
	if want, err := base64.StdEncoding.DecodeString(c.md5); err != nil || !bytes.Equal(want, sum) {
		return errInvalid("Provided MD5 hash %q doesn't match calculated MD5 hash %q.", c.md5, base64.StdEncoding.EncodeToString(sum))
	}
	o.md5 = sum
	return nil
}
