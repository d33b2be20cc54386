package main

import (
	"github.com/spf13/cobra"
)

func newCompletionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print the completion script of a shell",
		Long: `Print the completion script of a shell.

  bash   tidemark completion bash > ~/.local/share/bash-completion/completions/tidemark
  zsh    tidemark completion zsh > a file _tidemark in a directory of $fpath
  fish   tidemark completion fish > ~/.config/fish/completions/tidemark.fish`,
		Example:               `  tidemark completion bash`,
		DisableFlagsInUseLine: true,
		ValidArgs:             []string{"bash", "zsh", "fish"},
		Args:                  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				switch args[0] {
				case "bash":
					return cmd.Root().GenBashCompletionV2(a.out, true)
				case "zsh":
					return cmd.Root().GenZshCompletion(a.out)
				case "fish":
					return cmd.Root().GenFishCompletion(a.out, true)
				}
			}
			return usagef("completion takes one of bash, zsh and fish").hinted("see `tidemark help completion`")
		},
	}
}
