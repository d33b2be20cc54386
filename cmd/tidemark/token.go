package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark/credentials"
)

// tokenReport is what token prints with --json.
type tokenReport struct {
	Source    string                `json:"source"`
	Account   string                `json:"account"`
	ExpiresIn *float64              `json:"expires_in"` // null: nobody knows
	Tried     []credentials.Attempt `json:"tried"`
	Token     string                `json:"token,omitempty"`
	AWS       *awsReport            `json:"aws,omitempty"`   // keys for s3:// stores, if anything names any
	Azure     *azureReport          `json:"azure,omitempty"` // the same for azblob:// stores
	Error     *errorBody            `json:"error,omitempty"`
}

func newTokenCommand(a *app) *cobra.Command {
	var (
		scopes []string
		reveal bool
	)
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Tell where credentials come from, for whom, and how long they last",
		Long: `Get a token, and tell where it comes from, for whom it is, how long it lasts, and which sources were passed over and
why. The token itself is printed only with --reveal. It also tells which keys s3:// and azblob:// stores would use, where
anything names some; never a secret of theirs.`,
		Example: `  tidemark token
  tidemark token --json --scopes https://www.googleapis.com/auth/devstorage.read_only`,
		Args: noArguments,
	}
	cmd.Flags().StringSliceVar(&scopes, "scopes", nil, "scopes to ask for, separated by commas")
	cmd.Flags().BoolVar(&reveal, "reveal", false, "print the token too; whoever sees it can use it")
	cmd.RunE = a.action(func(ctx context.Context, _ []string) error {
		report, err := lookForToken(ctx, scopes, reveal)
		if err != nil && interrupted(ctx) {
			return err
		}
		report.lookForKeys(ctx)
		if err != nil {
			body := describe(ctx, err)
			report.Error = &body
		}
		if printErr := a.printToken(report); printErr != nil {
			return printErr
		}
		return err
	})
	return cmd
}

// lookForToken finds credentials and gets one token; the report is good for printing also with an error.
func lookForToken(ctx context.Context, scopes []string, reveal bool) (tokenReport, error) {
	report := tokenReport{Tried: []credentials.Attempt{}}
	found, err := credentials.Find(ctx, &credentials.FindOptions{Scopes: scopes})
	if err != nil {
		if failed, ok := errors.AsType[*credentials.FindError](err); ok {
			report.Tried = append(report.Tried, failed.Tried...)
		}
		return report, err
	}
	report.Tried = append(report.Tried, found.Tried...)
	cache := credentials.New(found.Source, nil)
	token, err := cache.Get(ctx)
	if err == nil {
		report.Source = found.Name
		report.Account = credentials.AccountOf(ctx, found.Source) // the token is good without a name
	} else {
		report.Tried = append(report.Tried, credentials.Attempt{Source: found.Name, Reason: oneLine(err.Error())})
	}
	if closeErr := cache.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return report, err
	}
	if expiry := token.Expiry(); !expiry.IsZero() {
		report.ExpiresIn = left(expiry)
	}
	if reveal {
		report.Token = token.Value()
	}
	return report, nil
}

func (a *app) printToken(report tokenReport) error {
	if a.json {
		a.resultPrinted = true
		return a.printJSON(report)
	}
	var rows [][]string
	if report.Source != "" {
		expires := "nobody knows"
		if report.ExpiresIn != nil {
			expires = "in " + humanDuration(time.Duration(*report.ExpiresIn*float64(time.Second)))
		}
		rows = append(rows, []string{"source", report.Source}, []string{"account", orElse(report.Account, "unknown")},
			[]string{"expires", expires})
	}
	if report.Token != "" {
		rows = append(rows, []string{"token", report.Token})
	}
	rows = append(rows, report.rows()...)
	for _, attempt := range report.Tried {
		rows = append(rows, []string{"passed over", attempt.Source + ": " + attempt.Reason})
	}
	return a.list(rows)
}
