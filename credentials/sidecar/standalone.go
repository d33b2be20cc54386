package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tidemark-go/tidemark/credentials"
)

// standalone is what can be said of an account and its project without a machine.
type standalone struct {
	source  credentials.Source
	account string
	tree    directory
}

// A directory holds directories, strings and lists of strings. What is nil is listed and answered elsewhere: tokens.
type directory map[string]any

func newStandalone(ctx context.Context, o *Options) (*standalone, error) {
	src, err := o.Source(ctx, o.Scopes)
	if err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	scopes := o.Scopes
	if len(scopes) == 0 {
		scopes = []string{credentials.CloudPlatform}
	}
	email := credentials.AccountOf(ctx, src)
	account := directory{"aliases": []string{"default"}, "identity": nil, "scopes": scopes, "token": nil}
	accounts := directory{"default": account}
	if email != "" {
		account["email"] = email
		accounts[email] = account
	}
	project := directory{"attributes": directory{}}
	if o.Project != "" {
		project["project-id"] = o.Project
	}
	return &standalone{src, email, directory{
		"instance": directory{"attributes": directory{}, "service-accounts": accounts},
		"project":  project,
		"universe": directory{"universe-domain": "googleapis.com"},
	}}, nil
}

func (s *standalone) known(account string) error {
	if account == "default" || account == s.account {
		return nil
	}
	return errNoAccount
}

func (s *standalone) get(path string, query url.Values) *answer {
	var here any = s.tree
	var name string
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if part == "" {
			continue
		}
		dir, ok := here.(directory)
		if here = dir[part]; !ok || here == nil {
			return missing()
		}
		name = part
	}
	dir, isDir := here.(directory)
	recursive := strings.EqualFold(query.Get("recursive"), "true")
	slash := path == "" || strings.HasSuffix(path, "/")
	switch {
	case !isDir && slash:
		return missing()
	case isDir && !slash && !recursive:
		to := url.URL{Path: root + path + "/", RawQuery: query.Encode()}
		return &answer{status: http.StatusMovedPermanently, location: to.String()}
	}
	// A subtree is JSON unless text is asked for, and anything else the other way round.
	if alt := query.Get("alt"); alt == "json" || alt == "" && isDir && recursive {
		if isDir && !recursive {
			here = dir.list()
		}
		body, err := json.Marshal(camel(here, name))
		if err != nil {
			panic(err) // strings, lists and maps of them always encode
		}
		return &answer{status: http.StatusOK, kind: "application/json", body: body}
	}
	var b bytes.Buffer
	writeText(&b, here, recursive, "")
	return &answer{status: http.StatusOK, kind: "application/text", body: b.Bytes()}
}

func missing() *answer {
	return &answer{status: http.StatusNotFound, kind: "text/plain; charset=utf-8", body: []byte("there is no such value without a machine\n")}
}

func (d directory) list() []string {
	names := slices.Sorted(maps.Keys(d))
	for i, name := range names {
		if _, ok := d[name].(directory); ok {
			names[i] += "/"
		}
	}
	return names
}

// writeText prints a value as it is, a list one per line, a directory as its names and a subtree as "path value" lines.
func writeText(b *bytes.Buffer, value any, recursive bool, prefix string) {
	switch v := value.(type) {
	case string:
		b.WriteString(strings.TrimPrefix(prefix+" "+v, " "))
		if prefix != "" {
			b.WriteByte('\n')
		}
	case []string:
		for _, line := range v {
			b.WriteString(strings.TrimPrefix(prefix+" "+line, " ") + "\n")
		}
	case directory:
		for _, name := range v.list() {
			if !recursive {
				b.WriteString(name + "\n")
				continue
			}
			name = strings.TrimSuffix(name, "/")
			writeText(b, v[name], true, strings.TrimPrefix(prefix+"/"+name, "/"))
		}
	}
}

// camel names the keys of a subtree as the real server does in JSON, except those that users chose.
func camel(value any, name string) any {
	dir, ok := value.(directory)
	if !ok {
		return value
	}
	out := make(directory, len(dir))
	for key, v := range dir {
		if v == nil {
			continue
		}
		as := key
		if name != "service-accounts" && name != "attributes" {
			words := strings.Split(key, "-")
			for i := 1; i < len(words); i++ {
				words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
			}
			as = strings.Join(words, "")
		}
		out[as] = camel(v, key)
	}
	return out
}
