package bucketstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// S3Options are for OpenS3; the zero value and nil are the defaults.
type S3Options struct {
	// Prefix is put in front of every key; a slash is added to it if it has none.
	Prefix string
	// Name is what String returns, without secrets; s3://bucket/prefix is the default.
	Name string
	// Endpoint is the server, as scheme and authority, instead of Amazon's. Plain http is for loopback only. A host below
	// googleapis.com is Google Cloud Storage, which is spoken to in its own terms (see google).
	Endpoint string
	// Region is part of every signature. The default is the AWS configuration's; with an endpoint, and none there,
	// us-east-1; on Google's, auto.
	Region string
	// PathStyle is "true" to send the bucket's name in the path and "false" for a host name of its own. The default is
	// the path for an endpoint and for a bucket whose name has dots, which no certificate covers.
	PathStyle string
	// Credentials sign the requests; the default is the AWS chain of this process's environment, see chain.
	Credentials aws.CredentialsProvider
}

// S3 is a bucket behind the S3 protocol, or the part of it below a prefix.
//
// It speaks HTTP itself. gocloud's s3blob cannot carry the protocol: it keeps no answer to a write, so there is no version to
// go on from; its uploads pass through a pipe and 8 MiB buffers into several requests; a deletion costs two. The AWS SDK
// below it signs headers that proxies change, adds checksum trailers that only Amazon knows, and has no signature
// that may stand beside Google's preconditions. Six kinds of request need none of that.
type S3 struct {
	httpStore
	d       s3dialect
	region  string
	creds   aws.CredentialsProvider
	noBatch atomic.Bool // the server has shown that it knows no DeleteObjects
}

var (
	_ objstore.Store        = (*S3)(nil)
	_ objstore.BatchDeleter = (*S3)(nil)
	_ service               = (*S3)(nil)
)

// OpenS3 opens a bucket. client only carries the requests, which are signed here, and stays the caller's; nil stands for connections of the
// store's own. OpenS3 sends nothing.
func OpenS3(ctx context.Context, client *http.Client, bucket string, o *S3Options) (*S3, error) {
	if o == nil {
		o = &S3Options{}
	}
	s := &S3{}
	s.name, s.service = cmp.Or(o.Name, strings.TrimSuffix("s3://"+bucket+"/"+o.Prefix, "/")), s
	invalid := func(err error) error {
		return &objstore.Error{Kind: objstore.KindInvalid, Op: "open", Key: s.name, Err: err}
	}
	var err error
	if s.prefix, err = below(o.Prefix); err != nil {
		return nil, err
	}
	if !bucketName.MatchString(bucket) {
		return nil, invalid(fmt.Errorf("%q is no name of a bucket", bucket))
	}
	s.d = amazon{}
	if isGoogle(o.Endpoint) {
		s.d = google{}
	}
	s.headers = s.d
	config, err := chain(ctx, s.d == google{})
	if err != nil {
		return nil, &objstore.Error{Kind: objstore.KindCredentials, Op: "open", Key: s.name, Err: fmt.Errorf("read the AWS configuration: %w", err)}
	}
	s.creds = config.Credentials
	if o.Credentials != nil {
		s.creds = o.Credentials
	}
	s.region = cmp.Or(o.Region, s.d.defaultRegion(), config.Region)
	if s.region == "" && o.Endpoint != "" {
		s.region = "us-east-1"
	}
	if !regionName.MatchString(s.region) {
		return nil, invalid(fmt.Errorf("%q is no region; name one by the parameter region or by AWS_REGION", s.region))
	}
	if s.base, err = address(bucket, s.region, o); err != nil {
		return nil, invalid(err)
	}
	s.connect(client)
	return s, nil
}

var (
	bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]$`)
	regionName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`) // it becomes part of a host name
)

// address is where the bucket is.
func address(bucket, region string, o *S3Options) (url.URL, error) {
	var path bool
	switch o.PathStyle {
	case "true":
		path = true
	case "false":
	case "":
		path = o.Endpoint != "" || strings.Contains(bucket, ".")
	default:
		return url.URL{}, fmt.Errorf("path style is true or false, not %q", o.PathStyle)
	}
	base := url.URL{Scheme: "https", Host: "s3." + region + ".amazonaws.com"}
	switch {
	case o.Endpoint != "":
		var err error
		if base, err = s3Endpoint(o.Endpoint); err != nil {
			return url.URL{}, err
		}
	case strings.HasPrefix(region, "cn-"):
		base.Host += ".cn"
	case strings.Contains(region, "-iso"):
		return url.URL{}, fmt.Errorf("the host of S3 in region %s is not public; name it by the parameter endpoint", region)
	}
	if path {
		base.Path = "/" + bucket
	} else {
		base.Host = bucket + "." + base.Host
	}
	return base, nil
}

func s3Endpoint(endpoint string) (url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return url.URL{}, errors.New("the endpoint is not of the form https://host:port") // it may hold a secret
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return url.URL{}, fmt.Errorf("the endpoint %s://%s is not encrypted; plain http is for this machine only", u.Scheme, u.Host)
	}
	return url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// isGoogle recognises storage.googleapis.com, the regional endpoints and those of Private Service Connect.
func isGoogle(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && strings.HasSuffix(strings.ToLower(u.Hostname()), ".googleapis.com")
}

// Traits has the service's limit on rewriting one object.
func (s *S3) Traits() objstore.Traits {
	return objstore.Traits{RewriteInterval: s.d.rewriteInterval()}
}

// aliased implements service: to S3 a key is its bytes.
func (s *S3) aliased(string) error { return nil }
