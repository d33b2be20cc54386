package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// versions is what version prints with --json.
type versions struct {
	Version       string `json:"version"`
	Revision      string `json:"revision"`
	GoVersion     string `json:"go_version"`
	FormatVersion int    `json:"format_version"`
}

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of the program, of Go and of the format",
		Example: `  tidemark version --json`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			v := buildVersions()
			if a.json {
				return a.printJSON(v)
			}
			revision := ""
			if v.Revision != "" {
				revision = " (" + v.Revision + ")"
			}
			return a.printf("tidemark %s%s, %s, format %d\n", v.Version, revision, v.GoVersion, v.FormatVersion)
		},
	}
}

func buildVersions() versions {
	v := versions{Version: "unknown", GoVersion: runtime.Version(), FormatVersion: checkpoint.FormatVersion}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			v.Revision = setting.Value + v.Revision
		case setting.Key == "vcs.modified" && setting.Value == "true":
			v.Revision += "+modified"
		}
	}
	return v
}
