package main

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A reference like -2 ("two before latest") would be taken for flags. It travels through the parsing of flags behind a mark
// that no argument can contain.
const referenceMark = "\x00"

var relativeReference = regexp.MustCompile(`^-[0-9]+$`)

// protectReferences marks the relative references among args. What follows a flag that takes a value is that value.
func protectReferences(root *cobra.Command, args []string) []string {
	takesValue := map[string]bool{}
	collect := func(f *pflag.Flag) {
		if f.NoOptDefVal == "" {
			takesValue["--"+f.Name] = true
			takesValue["-"+f.Shorthand] = true
		}
	}
	root.PersistentFlags().VisitAll(collect)
	for _, cmd := range root.Commands() {
		cmd.Flags().VisitAll(collect)
	}
	protected := make([]string, len(args))
	for i, arg := range args {
		if relativeReference.MatchString(arg) && (i == 0 || !takesValue[args[i-1]]) {
			arg = referenceMark + arg
		}
		protected[i] = arg
	}
	return protected
}

func plainArgs(args []string) []string {
	plain := make([]string, len(args))
	for i, arg := range args {
		plain[i] = strings.TrimPrefix(arg, referenceMark)
	}
	return plain
}

// splitStore takes the store out of a verb's arguments, where it is the one at index at, or TIDEMARK_STORE if it was left
// out. Of the rest there are between least and most.
func splitStore(args []string, at, least, most int) (storeURL string, rest []string, err error) {
	fromEnv := os.Getenv("TIDEMARK_STORE")
	// Without TIDEMARK_STORE even what is no URL has to be the store; opening it says what is wrong with it.
	given := len(args) > at && (strings.Contains(args[at], "://") || len(args) > most || fromEnv == "")
	if given {
		storeURL, rest = args[at], slices.Delete(slices.Clone(args), at, at+1)
	} else {
		storeURL, rest = fromEnv, args
	}
	switch {
	case storeURL == "":
		return "", nil, usagef("no store given").hinted("a store is a URL such as gs://bucket/prefix or file:///dir; TIDEMARK_STORE may name it too")
	case len(rest) < least:
		return "", nil, usagef("arguments are missing")
	case len(rest) > most:
		return "", nil, usagef("too many arguments: %s", strings.Join(rest[most:], " "))
	}
	return storeURL, rest, nil
}

// checkpointOrLatest is the optional reference of a verb.
func checkpointOrLatest(rest []string) string {
	if len(rest) == 0 || rest[0] == "" {
		return "latest"
	}
	return rest[0]
}
