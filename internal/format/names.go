package format

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxJobName  = 200  // with an escape or a suffix still one entry of a file system's directory
	maxPartName = 4096 // the longest path that Linux takes
	maxLabel    = 1024 // what is written for people must not grow HEAD
)

// CheckJobName refuses what is not one harmless path segment on every store and in every terminal.
func CheckJobName(name string) error {
	switch {
	case name == "":
		return errors.New("a job needs a name")
	case len(name) > maxJobName:
		return fmt.Errorf("job name of %d bytes; at most %d are allowed", len(name), maxJobName)
	case !utf8.ValidString(name):
		return fmt.Errorf("job name %q is not valid UTF-8", name)
	case strings.ContainsAny(name, `/\`):
		return fmt.Errorf("job name %q contains a path separator; a job name is one path segment", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("job name %q contains a control character", name)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("job name %q contains a character that cannot be seen", name)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("job name %q starts or ends with a space", name)
	case strings.HasSuffix(name, "."):
		return fmt.Errorf("job name %q ends in a dot, which is a path or which stores drop", name)
	case strings.HasPrefix(name, ".tidemark"):
		return fmt.Errorf("job name %q is one that tidemark keeps for itself", name)
	case strings.Contains(name, "__0x"):
		return fmt.Errorf(`job name %q contains "__0x", which stores rewrite`, name)
	}
	return nil
}

// CheckPartName refuses names that could leave the directory that they are restored into.
func CheckPartName(name string) error {
	switch {
	case name == "":
		return errors.New("a part needs a name")
	case len(name) > maxPartName:
		return fmt.Errorf("part name of %d bytes; at most %d are allowed", len(name), maxPartName)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("part name %q contains a zero byte", name)
	}
	for seg := range strings.SplitSeq(name, "/") {
		if seg == "" || seg == "." || seg == ".." {
			return fmt.Errorf("part name %q is not a plain relative path (segment %q)", name, seg)
		}
	}
	return nil
}

// checkLabel refuses text for people that could play with their terminal.
func checkLabel(what, s string) error {
	if len(s) > maxLabel {
		return fmt.Errorf("%s of %d bytes; at most %d are allowed", what, len(s), maxLabel)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("%s %q contains a control character or invalid UTF-8", what, s)
	}
	return nil
}

// escapeWriter makes a writer's name part of a key: everything but unreserved characters is a percent sign and two digits, and so
// is an underscore behind another, because "__0x" is an escape of its own in some stores.
func escapeWriter(name string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '~',
			c == '_' && (i == 0 || name[i-1] != '_'):
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// CheckWriter refuses what cannot be a writer's name in the key of a pack.
func CheckWriter(name string) error { return checkWriter(name) }

func checkWriter(name string) error {
	if name == "" {
		return errors.New("no writer")
	}
	if n := len(escapeWriter(name)); n > maxEscapedWriter {
		return fmt.Errorf("writer %.50q has %d bytes in a key; at most %d are allowed", name, n, maxEscapedWriter)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("writer %q is not valid UTF-8", name)
	}
	return nil
}
