package cmd

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/vtpmctl/vtpmctl/internal/out"
)

func (a *app) completionCommand() *cobra.Command {
	script := func(shell, example string, write func(root *cobra.Command, w io.Writer) error) *cobra.Command {
		var c *cobra.Command
		c = a.command(verb{
			use:     shell,
			short:   "print the script for " + shell,
			example: example,
			run:     func(context.Context, []string) (out.Doc, error) { return nil, write(c.Root(), a.Out) },
		})
		return c
	}
	return noun("completion", "print a script that completes words in a shell",
		script("bash", "vtpmctl completion bash > /etc/bash_completion.d/vtpmctl", func(root *cobra.Command, w io.Writer) error {
			return root.GenBashCompletionV2(w, true)
		}),
		script("zsh", `vtpmctl completion zsh > "${fpath[1]}/_vtpmctl"`, (*cobra.Command).GenZshCompletion),
		script("fish", "vtpmctl completion fish > ~/.config/fish/completions/vtpmctl.fish", func(root *cobra.Command, w io.Writer) error {
			return root.GenFishCompletion(w, true)
		}),
		script("powershell", "vtpmctl completion powershell | Out-String | Invoke-Expression", (*cobra.Command).GenPowerShellCompletionWithDesc))
}
