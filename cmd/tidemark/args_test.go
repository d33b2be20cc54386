package main

import (
	"errors"
	"io"
	"slices"
	"testing"
)

func TestSplitStore(t *testing.T) {
	const url, env = "file:///given", "file:///env"
	tests := []struct {
		name            string
		env             string
		args            []string
		at, least, most int
		store           string
		rest            []string
		wrong           bool
	}{
		{name: "given", args: []string{url, "3"}, most: 1, store: url, rest: []string{"3"}},
		{name: "given, optional left out", args: []string{url}, most: 1, store: url},
		{name: "left out", env: env, args: []string{"3"}, most: 1, store: env, rest: []string{"3"}},
		{name: "left out, and the optional too", env: env, most: 1, store: env},
		{name: "given goes before the environment", env: env, args: []string{url}, most: 1, store: url},
		{name: "second", args: []string{"dir", url}, at: 1, least: 1, most: 1, store: url, rest: []string{"dir"}},
		{name: "second left out", env: env, args: []string{"dir"}, at: 1, least: 1, most: 1, store: env, rest: []string{"dir"}},
		{name: "no URL, and nothing else it could be", args: []string{"nonsense"}, most: 1, store: "nonsense"},
		{name: "no URL, but one too many", env: env, args: []string{"nonsense", "3"}, most: 1, store: "nonsense", rest: []string{"3"}},
		{name: "none", most: 1, wrong: true},
		{name: "empty", args: []string{""}, wrong: true},
		{name: "required missing", args: []string{url}, least: 1, most: 1, wrong: true},
		{name: "too many", args: []string{url, "1", "2"}, most: 1, wrong: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("TIDEMARK_STORE", test.env)
			store, rest, err := splitStore(test.args, test.at, test.least, test.most)
			if wrong := errors.As(err, new(*usageError)); wrong != test.wrong {
				t.Fatalf("error %v, want a usage error: %t", err, test.wrong)
			}
			if store != test.store || !slices.Equal(rest, test.rest) {
				t.Errorf("store %q, rest %q; want %q, %q", store, rest, test.store, test.rest)
			}
		})
	}
}

func TestRelativeReferencesAreNoFlags(t *testing.T) {
	root := newRootCommand(&app{out: io.Discard, err: io.Discard})
	m := referenceMark
	for _, test := range []struct{ args, want []string }{
		{[]string{"show", "s", "-2"}, []string{"show", "s", m + "-2"}},
		{[]string{"show", "s", "--json", "-2", "-q"}, []string{"show", "s", "--json", m + "-2", "-q"}},
		{[]string{"restore", "--checkpoint", "-1", "-c", "-1"}, []string{"restore", "--checkpoint", "-1", "-c", "-1"}},
		{[]string{"retain", "--keep-last", "-2"}, []string{"retain", "--keep-last", "-2"}},
		{[]string{"cat", "s", "-1", "part-1"}, []string{"cat", "s", m + "-1", "part-1"}},
	} {
		got := protectReferences(root, test.args)
		if !slices.Equal(got, test.want) {
			t.Errorf("%q became %q, want %q", test.args, got, test.want)
		}
	}
	if got := plainArgs([]string{m + "-2", "x"}); !slices.Equal(got, []string{"-2", "x"}) {
		t.Errorf("plainArgs = %q", got)
	}
}
