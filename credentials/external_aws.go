package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/oauth2/google/externalaccount"
)

// awsKeys gives the keys with which the request to AWS is signed that Google exchanges for a token. The library of
// external accounts knows the environment and EC2 alone; this is Amazon's own chain: profiles, web identity, single
// sign-on, the container of ECS and EKS.
type awsKeys struct {
	guard  *guard
	config aws.Config
}

// verification is where Google sends the signed request, unless the file says otherwise.
const verification = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"

// newAWSKeys reads the configuration anew for each exchange, so that a profile that was changed counts at once. It is
// nil where the library's own ways are the right ones.
func newAWSKeys(ctx context.Context, g *guard, source *externalaccount.CredentialSource) (*awsKeys, error) {
	if os.Getenv("AWS_ACCESS_KEY_ID") != "" && os.Getenv("AWS_SECRET_ACCESS_KEY") != "" {
		return nil, nil
	}
	c, err := config.LoadDefaultConfig(ctx,
		// Amazon's own client, since no other takes AWS_CA_BUNDLE. A connection kept would outlive the exchange.
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.DisableKeepAlives = true })),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} })) // the cache repeats
	if err != nil {
		return nil, fmt.Errorf("the AWS configuration cannot be used: %w", err)
	}
	if aws.IsCredentialsProvider(c.Credentials, (*ec2rolecreds.Provider)(nil)) {
		return nil, nil // the file names EC2's addresses
	}
	if v := source.RegionalCredVerificationURL; v != "" && v != verification {
		return nil, errors.New("its regional_cred_verification_url goes together only with keys of the environment or of EC2")
	}
	return &awsKeys{g, c}, nil
}

// AwsRegion implements [externalaccount.AwsSecurityCredentialsSupplier].
func (k *awsKeys) AwsRegion(context.Context, externalaccount.SupplierOptions) (string, error) {
	if k.config.Region == "" {
		return "", errors.New("AWS_REGION is not set, and no profile names a region")
	}
	return k.config.Region, nil
}

// AwsSecurityCredentials implements [externalaccount.AwsSecurityCredentialsSupplier].
func (k *awsKeys) AwsSecurityCredentials(ctx context.Context, _ externalaccount.SupplierOptions) (*externalaccount.AwsSecurityCredentials, error) {
	keys, err := k.config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, k.failed(err)
	}
	if keys.AccessKeyID == "" || keys.SecretAccessKey == "" {
		k.guard.failure = k.noKeys()
		return nil, k.guard.failure
	}
	return &externalaccount.AwsSecurityCredentials{
		AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken,
	}, nil
}

// failed reads the SDK's error. Its words may quote an answer; a container's path is as good as a key.
func (k *awsKeys) failed(err error) error {
	var (
		answer interface{ HTTPStatusCode() int } // of every client of the SDK
		said   smithy.APIError
		broken *smithy.DeserializationError
		sent   *smithyhttp.RequestSendError
	)
	switch {
	case errors.As(err, &answer) && answer.HTTPStatusCode() != http.StatusOK:
		status := answer.HTTPStatusCode()
		cause := fmt.Errorf("the keys of AWS: HTTP %d %s", status, http.StatusText(status))
		if errors.As(err, &said) && awsCode.MatchString(said.ErrorCode()) {
			cause = fmt.Errorf("%w, %s", cause, said.ErrorCode())
		}
		k.guard.failure = k.guard.refused(&reply{status: status}, cause)
	case errors.As(err, &broken):
		k.guard.failure = k.noKeys()
	case errors.As(err, &sent):
		k.guard.failure = k.guard.fail(Unavailable, fmt.Errorf("the keys of AWS: %w", bare(sent.Err)), "retry")
	default:
		return fmt.Errorf("no keys of AWS: %w", err)
	}
	return k.guard.failure
}

func (k *awsKeys) noKeys() *Error {
	return k.guard.fail(Unavailable, errors.New("the keys of AWS: the answer holds none: is there a proxy in between"), "see what answers at this address")
}

// bare takes the address off an error of net/http.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// awsCode is how Amazon's codes look.
var awsCode = regexp.MustCompile(`^\w{1,60}$`)

// awsRunsProgram reports whether the profile in use names a program that prints keys.
func awsRunsProgram(ctx context.Context) bool {
	profile := os.Getenv("AWS_PROFILE")
	if profile == "" {
		profile = config.DefaultSharedConfigProfile
	}
	p, err := config.LoadSharedConfigProfile(ctx, profile)
	return err == nil && p.CredentialProcess != ""
}

// isAWS reports whether a credential_source is AWS.
func isAWS(s *externalaccount.CredentialSource) bool {
	return s != nil && strings.HasPrefix(s.EnvironmentID, "aws")
}
