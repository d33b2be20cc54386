package objstore

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// MaxKey is the longest object name, in bytes, that GCS, S3 and Azure all take; a store's own prefix counts too.
	MaxKey = 1024
	// MaxSegment is the longest name of one directory entry on the usual file systems.
	MaxSegment = 255
)

// CheckKey reports why key is not one that every store can hold, as a KindInvalid *Error, or nil.
// Beyond the rules of Store, control characters are refused (gocloud rewrites some, XML listings cannot carry others), and U+FFFE and U+FFFF,
// which XML cannot carry either (servers list them as another key, or fail to list at all),
// segments that end in a dot (that covers "." and ".."; gocloud rewrites "../" even inside "a../b", Azure and Windows drop
// the dot), and "__0x", which gocloud rewrites too: the object would have another name, and another place in a listing.
func CheckKey(op, key string) error {
	if key == "" {
		return invalid(op, key, "the key is empty")
	}
	if len(key) > MaxKey {
		return invalid(op, key, fmt.Sprintf("the key has %d bytes, stores take %d", len(key), MaxKey))
	}
	return checkSegments(op, key, strings.Split(key, "/"))
}

// CheckPrefix is CheckKey for a listing: the prefix may be empty and may end inside a segment.
func CheckPrefix(op, prefix string) error {
	segments := strings.Split(prefix, "/")
	whole, part := segments[:len(segments)-1], segments[len(segments)-1]
	if err := checkSegments(op, prefix, whole); err != nil {
		return err
	}
	return checkText(op, prefix, part)
}

func checkSegments(op, key string, segments []string) error {
	for _, s := range segments {
		switch {
		case s == "":
			return invalid(op, key, "a segment is empty: keys neither start nor end with a slash nor hold two in a row")
		case len(s) > MaxSegment:
			return invalid(op, key, fmt.Sprintf("a segment has %d bytes, file systems take %d", len(s), MaxSegment))
		case strings.HasSuffix(s, "."):
			return invalid(op, key, "a segment ends in a dot")
		}
		if err := checkText(op, key, s); err != nil {
			return err
		}
	}
	return nil
}

func checkText(op, key, s string) error {
	if !utf8.ValidString(s) {
		return invalid(op, key, "the key is not valid UTF-8")
	}
	if strings.Contains(s, "__0x") {
		return invalid(op, key, `the key holds "__0x"`)
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return invalid(op, key, fmt.Sprintf("the key holds the control character %U", r))
		}
		if r == 0xfffe || r == 0xffff {
			return invalid(op, key, fmt.Sprintf("the key holds %U, which is no character", r))
		}
	}
	return nil
}

func invalid(op, key, why string) error {
	return &Error{Kind: KindInvalid, Op: op, Key: fmt.Sprintf("%q", key), Err: fmt.Errorf("%s", why)}
}
