package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// verbs makes every verb, in the order in which help lists them.
var verbs = []func(*app) *cobra.Command{
	newDemoCommand,
	newSaveCommand, newRestoreCommand,
	newJobsCommand, newLsCommand, newShowCommand, newCatCommand, newVerifyCommand,
	newTagCommand, newUntagCommand, newRetainCommand, newGCCommand, newRepairCommand,
	newTokenCommand, newDoctorCommand, newMetadataCommand, newEmulatorCommand, newBenchCommand,
	newVersionCommand, newCompletionCommand,
}

const about = `Checkpoints of stream jobs on object stores.

A store is a URL: gs://bucket/prefix, s3://bucket/prefix, azblob://container/prefix, file:///dir, mem://name. It is the argument STORE, or TIDEMARK_STORE.
A job is --job NAME or TIDEMARK_JOB; a store with exactly one job needs none.
A checkpoint C is a number, latest, a tag, or -2 for two before latest.`

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "tidemark VERB",
		Short:         "Checkpoints of stream jobs on object stores",
		Long:          about,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
	}
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownVerb(root, plainArgs(args)[0])
		}
		return cmd.Help()
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "print JSON: one document, or one object per line for lists")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "show no progress")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log events such as retries on standard error")
	flags.Var(&a.timeout, "timeout", "give up after this long, e.g. 90s (exit code 7)")
	flags.StringVar(&a.keyURL, "key-url", "", "the key of an encrypted job (default TIDEMARK_KEY_URL, which other users of the machine cannot read)")
	flags.BoolVar(&a.encryptedOnly, "encrypted-only", false, "believe nothing that is not encrypted with the key")
	flags.BoolP("help", "h", false, "show help")
	root.CompletionOptions.DisableDefaultCmd = true
	cobra.EnableCommandSorting = false
	for _, newVerb := range verbs {
		root.AddCommand(newVerb(a))
	}
	root.SetHelpCommand(newHelpCommand(root))
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpTemplate(helpTemplate)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// Cobra parses the flags of an unknown verb as the root's own, and would complain about those first.
		if verb := firstWord(root.Flags().Args()); cmd == root && verb != "" {
			return unknownVerb(root, verb)
		}
		return usagef("%s", strings.ReplaceAll(err.Error(), referenceMark, "")).hinted("see `" + strings.TrimSpace("tidemark help "+verbOf(cmd)) + "`")
	})
	return root
}

func firstWord(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

func verbOf(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return ""
	}
	return cmd.Name()
}

func unknownVerb(root *cobra.Command, verb string) error {
	var names []string
	for _, cmd := range root.Commands() {
		if !cmd.Hidden {
			names = append(names, cmd.Name())
		}
	}
	return usagef("unknown verb %q; there are %s", verb, strings.Join(names, ", ")).hinted("see `tidemark help`")
}

func newHelpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "Show help on a verb, with an example",
		Args:  cobra.ArbitraryArgs,
		Example: `  tidemark help
  tidemark help save`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return root.Help()
			}
			asked := strings.Join(args, " ")
			for _, cmd := range root.Commands() {
				if strings.HasPrefix(cmd.Use+" ", asked+" ") && !cmd.Hidden { // some verbs are of two words
					cmd.InitDefaultHelpFlag()
					return cmd.Help()
				}
			}
			return unknownVerb(root, asked)
		},
	}
}

// storeVerb fills in what the verbs with a store have in common. The words of cmd.Use say which arguments there are: STORE, and
// others of which those in brackets may be left out.
func storeVerb(a *app, cmd *cobra.Command, do func(ctx context.Context, storeURL string, rest []string) error) *cobra.Command {
	words := strings.Fields(cmd.Use)[1:]
	at, most := slices.Index(words, "STORE"), len(words)-1
	least := most - strings.Count(cmd.Use, "[")
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = a.action(func(ctx context.Context, args []string) error {
		storeURL, rest, err := splitStore(args, at, least, most)
		if err != nil {
			return fmt.Errorf("%s: %w (usage: tidemark %s)", cmd.Name(), err, cmd.Use)
		}
		return do(ctx, storeURL, rest)
	})
	cmd.DisableFlagsInUseLine = true
	return cmd
}

// noArguments refuses arguments with an error of our own kind.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, got %q", cmd.Name(), plainArgs(args)[0]).hinted("see `tidemark help " + cmd.Name() + "`")
	}
	return nil
}

const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{.UsageString}}`

const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}tidemark VERB ...

Verbs:{{range .Commands}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{end}}{{end}}{{else}}{{.UseLine}}{{end}}{{if .HasExample}}

Example:
{{.Example}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Flags of every verb:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if not .HasParent}}

` + exitTable + `{{end}}
`
