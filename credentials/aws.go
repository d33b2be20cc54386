package credentials

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// AWSKeys are keys of AWS as far as they may be told. They sign the requests of s3:// stores, and stand for an external
// account.
type AWSKeys struct {
	Source  string    // which link of Amazon's chain has them, in the SDK's words
	KeyID   string    // shortened
	Region  string    // empty if nothing names one
	Expires time.Time // zero for keys that last
}

// FindAWS asks Amazon's chain for keys, and returns nil if nothing of this process or machine names any. A machine is asked for its role
// only if it is Amazon's.
func FindAWS(ctx context.Context) (*AWSKeys, error) {
	return findAWS(ctx, "/sys/class/dmi/id/sys_vendor")
}

func findAWS(ctx context.Context, vendor string) (*AWSKeys, error) {
	maker, err := os.ReadFile(vendor)
	onAmazon := err == nil && strings.HasPrefix(string(maker), "Amazon")
	var options []func(*config.LoadOptions) error
	if !onAmazon {
		options = append(options, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, &Error{Kind: Misconfigured, Source: "AWS", Err: errors.New(printable(err.Error(), 200)), Remedy: "correct the AWS variables or files"}
	}
	if aws.IsCredentialsProvider(c.Credentials, (*ec2rolecreds.Provider)(nil)) && !onAmazon {
		return nil, nil
	}
	keys, err := c.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, &Error{Kind: Unavailable, Source: "AWS", Err: errors.New(printable(err.Error(), 200)), Remedy: "see what the AWS variables and files name"}
	}
	found := &AWSKeys{Source: keys.Source, KeyID: shortened(keys.AccessKeyID), Region: c.Region}
	if keys.CanExpire {
		found.Expires = keys.Expires
	}
	return found, nil
}

// shortened is enough of an identifier to know it again.
func shortened(id string) string {
	if len(id) < 12 {
		return "…"
	}
	return id[:4] + "…" + id[len(id)-4:]
}
