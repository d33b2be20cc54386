package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

func child(value any, name string) any {
	switch v := value.(type) {
	case directory:
		return v[name]
	case array:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}

func isDirectory(value any) bool {
	switch value.(type) {
	case directory, array:
		return true
	}
	return false
}

// children are the names below a directory in the server's order, with what only a listing shows.
func children(value any) []string {
	switch v := value.(type) {
	case directory:
		names := slices.Sorted(maps.Keys(v))
		for i, name := range names {
			if isDirectory(v[name]) {
				names[i] += "/"
			}
		}
		if _, ok := v["aliases"]; ok {
			names = append(names, "identity", "token")
			slices.Sort(names)
		}
		return names
	case array:
		names := make([]string, len(v))
		for i := range v {
			names[i] = strconv.Itoa(i) + "/"
		}
		return names
	}
	return nil
}

// writeText prints a leaf as it is, a list one per line, a directory as its names, and a subtree as "path value" lines.
func writeText(b *bytes.Buffer, value any, recursive bool, prefix string) {
	line := func(s string) {
		if prefix != "" {
			b.WriteString(prefix + " ")
		}
		b.WriteString(s)
	}
	switch v := value.(type) {
	case []string:
		for _, s := range v {
			line(s + "\n")
		}
	case directory, array:
		if !recursive {
			for _, name := range children(v) {
				b.WriteString(name + "\n")
			}
			return
		}
		for _, name := range children(v) {
			name = strings.TrimSuffix(name, "/")
			if next := child(v, name); next != nil {
				writeText(b, next, true, strings.TrimPrefix(prefix+"/"+name, "/"))
			}
		}
	default:
		line(fmt.Sprint(v))
		if prefix != "" {
			b.WriteByte('\n')
		}
	}
}

func encodeJSON(value any, recursive bool, name string) []byte {
	if !recursive && isDirectory(value) {
		value = children(value)
	}
	// The tree holds strings, numbers, lists and maps only: it always encodes.
	body, _ := json.Marshal(camel(value, namedByUser(name)))
	return body
}

// namedByUser tells whether the children of a directory have names that a user chose, which stay as they are.
func namedByUser(dir string) bool { return dir == "attributes" || dir == "service-accounts" }

// camel renames the keys of a subtree as the server does: service-accounts becomes serviceAccounts.
func camel(value any, verbatim bool) any {
	switch v := value.(type) {
	case directory:
		out := make(directory, len(v))
		for name, next := range v {
			key := name
			if !verbatim {
				key = camelName(name)
			}
			out[key] = camel(next, namedByUser(name))
		}
		return out
	case array:
		out := make(array, len(v))
		for i, next := range v {
			out[i] = camel(next, false)
		}
		return out
	}
	return value
}

func camelName(name string) string {
	var b strings.Builder
	for i, word := range strings.Split(name, "-") {
		if i > 0 && word != "" {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		b.WriteString(word)
	}
	return b.String()
}
