package main

import (
	"cmp"
	"context"
	"math"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
	"github.com/tidemark-go/tidemark/credentials/azure"
)

// awsReport is what token tells of the keys that sign the requests of s3:// stores.
type awsReport struct {
	Source    string   `json:"source,omitempty"`
	KeyID     string   `json:"key_id,omitempty"` // shortened
	Region    string   `json:"region,omitempty"`
	ExpiresIn *float64 `json:"expires_in"` // null: they last, or there are none
	Error     string   `json:"error,omitempty"`
}

// azureReport is the same for azblob:// stores.
type azureReport struct {
	Source    string   `json:"source,omitempty"`
	Storage   string   `json:"storage_account,omitempty"`
	Account   string   `json:"account,omitempty"` // whom a token is for
	ExpiresIn *float64 `json:"expires_in"`
	Error     string   `json:"error,omitempty"`
}

// cloudTime bounds the look at other clouds than Google's: they are beside the question in most calls.
const cloudTime = 5 * time.Second

// lookForKeys fills in what other clouds' chains find; nothing for a cloud that nothing here names.
func (r *tokenReport) lookForKeys(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cloudTime)
	defer cancel()
	keys, err := credentials.FindAWS(ctx)
	switch {
	case err != nil:
		r.AWS = &awsReport{Error: oneLine(err.Error())}
	case keys != nil:
		r.AWS = &awsReport{Source: keys.Source, KeyID: keys.KeyID, Region: keys.Region, ExpiresIn: left(keys.Expires)}
	}
	r.Azure = lookForAzure(ctx)
}

func lookForAzure(ctx context.Context) *azureReport {
	get := func(name string) string { return strings.TrimSpace(os.Getenv(name)) }
	r := &azureReport{Storage: get("AZURE_STORAGE_ACCOUNT")}
	for _, name := range []string{"AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN"} {
		value := get(name)
		if value == "" {
			continue
		}
		r.Source = name
		if name == "AZURE_STORAGE_CONNECTION_STRING" {
			_, after, _ := strings.Cut(value, "AccountName=")
			account, _, _ := strings.Cut(after, ";")
			r.Storage = cmp.Or(account, r.Storage)
		}
		if q, err := url.ParseQuery(strings.TrimPrefix(value, "?")); err == nil && name == "AZURE_STORAGE_SAS_TOKEN" {
			if until, err := time.Parse(time.RFC3339, q.Get("se")); err == nil {
				r.ExpiresIn = left(until)
			}
		}
		return r
	}
	if r.Storage == "" && get("AZURE_CLIENT_ID") == "" && get("AZURE_TENANT_ID") == "" && get("IDENTITY_ENDPOINT") == "" && get("MSI_ENDPOINT") == "" {
		return nil
	}
	r.Source = "azure"
	src, err := azure.Source(nil)
	if err == nil {
		var token *credentials.Token
		if token, err = src.Fetch(ctx); err == nil {
			r.Account, r.ExpiresIn = token.Account(), left(token.Expiry())
		}
	}
	if err != nil {
		r.Source, r.Error = "", oneLine(err.Error())
	}
	return r
}

// left is the time until then in seconds; nil for never.
func left(until time.Time) *float64 {
	if until.IsZero() {
		return nil
	}
	seconds := math.Round(time.Until(until).Seconds()*1000) / 1000
	return &seconds
}

// rows tell of other clouds, for people.
func (r *tokenReport) rows() [][]string {
	var rows [][]string
	add := func(name string, failed string, parts ...string) {
		text := failed
		if failed == "" {
			text = strings.Join(parts, ", ")
		}
		rows = append(rows, []string{name, text})
	}
	if k := r.AWS; k != nil {
		add("aws", k.Error, "key "+k.KeyID+" by "+k.Source, "region "+orElse(k.Region, "unknown"), expiresIn(k.ExpiresIn))
	}
	if k := r.Azure; k != nil {
		who := "storage account " + orElse(k.Storage, "unknown")
		if k.Account != "" {
			who += ", token for " + k.Account
		}
		add("azure", k.Error, "by "+k.Source, who, expiresIn(k.ExpiresIn))
	}
	return rows
}

func expiresIn(seconds *float64) string {
	if seconds == nil {
		return "does not expire"
	}
	if *seconds <= 0 {
		return "expired"
	}
	return "expires in " + humanDuration(time.Duration(*seconds*float64(time.Second)))
}
