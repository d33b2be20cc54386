package credentials_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/credentials"
	"github.com/tidemark-go/tidemark/emulator"
)

// awsSource is what `gcloud iam workload-identity-pools create-cred-config --aws` writes.
func awsSource() object {
	return object{"environment_id": "aws1", "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
		"url":                            "http://169.254.169.254/latest/meta-data/iam/security-credentials",
		"regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}
}

// clearAWS takes away what this machine may know of AWS, and names a region.
func clearAWS(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_PROFILE",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
}

// amazon is the agent of a container and Amazon's STS.
type amazon struct {
	*httptest.Server
	status int    // of a refusal; 0: none
	body   string // of it
	asked  []string
}

const assumed = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>` +
	`<AccessKeyId>AKIDEXAMPLE</AccessKeyId><SecretAccessKey>PLANTED</SecretAccessKey><SessionToken>PLANTED</SessionToken>` +
	`<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`

func newAmazon(t *testing.T) *amazon {
	a := &amazon{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked = append(a.asked, r.Method+" "+r.URL.Path)
		switch {
		case a.status != 0:
			if strings.HasPrefix(a.body, "{") {
				w.Header().Set("Content-Type", "application/json")
			}
			w.WriteHeader(a.status)
			_, _ = w.Write([]byte(a.body))
		case strings.HasPrefix(r.URL.Path, "/v2/credentials") && r.Header.Get("Authorization") == "pod-PLANTED":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(encode(object{"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "PLANTED", "Token": "PLANTED", "Expiration": "2099-01-01T00:00:00Z"}))
		case r.Method == http.MethodPost && r.PostFormValue("WebIdentityToken") == foreign && r.PostFormValue("RoleArn") == "arn:aws:iam::1:role/flow":
			w.Header().Set("Content-Type", "text/xml")
			_, _ = w.Write([]byte(assumed))
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func TestExternalAccountByAmazonsChain(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, a *amazon){
		"EKS pod identity": func(t *testing.T, a *amazon) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", a.URL+"/v2/credentials")
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", put(t, "token", "pod-PLANTED", 0o600))
		},
		"ECS": func(t *testing.T, a *amazon) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", a.URL+"/v2/credentials/id-PLANTED")
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-PLANTED")
		},
		"web identity": func(t *testing.T, a *amazon) {
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", put(t, "token", foreign, 0o600))
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/flow")
			t.Setenv("AWS_ENDPOINT_URL_STS", a.URL)
		},
		"profile": func(t *testing.T, _ *amazon) {
			t.Setenv("AWS_REGION", "")
			t.Setenv("AWS_PROFILE", "flow")
			t.Setenv("AWS_CONFIG_FILE", put(t, "config", "[profile flow]\nregion = eu-west-1\n", 0o600))
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", put(t, "credentials", "[flow]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = PLANTED\n", 0o600))
		},
		"profile with a program": func(t *testing.T, _ *amazon) {
			answer := string(encode(object{"Version": 1, "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "PLANTED"}))
			t.Setenv("AWS_CONFIG_FILE", put(t, "config", "[default]\ncredential_process = "+script(t, "echo '"+answer+"'")+"\n", 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			clearAWS(t)
			a := newAmazon(t)
			prepare(t, a)
			cloud := emulator.Start(t, nil)
			cloud.Federate(pool, checkAWS)
			src := mustKey(t, external(cloud, awsSource(), object{"subject_token_type": awsType}), nil)
			if _, info := fetch(t, cloud, src); info.Account != principal {
				t.Errorf("the token is for %s", info.Account)
			}
			if want := 1; strings.HasPrefix(name, "profile") == (len(a.asked) == want) || len(a.asked) > want {
				t.Errorf("Amazon was asked %q", a.asked)
			}
		})
	}
}

// Failures of the chain have the kind that decides whether it is tried again, and hold no key and no container's path.
func TestAmazonsChainFails(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   error
		text   string
	}{
		"overloaded": {503, "busy", credentials.ErrUnavailable, "503"},
		"throttled":  {429, "", credentials.ErrUnavailable, "429"},
		"refused":    {403, `{"code":"AccessDenied","message":"PLANTED"}`, credentials.ErrRefused, "403 Forbidden, AccessDenied"},
		"misnamed":   {404, "", credentials.ErrMisconfigured, "404"},
		"a portal":   {200, "<html>PLANTED", credentials.ErrUnavailable, "proxy"},
		"nonsense":   {200, "{}", credentials.ErrUnavailable, "holds none"},
	} {
		t.Run(name, func(t *testing.T) {
			clearAWS(t)
			a := newAmazon(t)
			a.status, a.body = c.status, c.body
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", a.URL+"/v2/credentials/id-PLANTED")
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-PLANTED")
			cloud := emulator.Start(t, nil)
			cloud.Federate(pool, checkAWS)
			_, err := mustKey(t, external(cloud, awsSource(), object{"subject_token_type": awsType}), nil).Fetch(t.Context())
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "PLANTED") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %v", err, c.kind)
			}
			if len(a.asked) != 1 || cloud.OAuthRequests() != 0 {
				t.Errorf("asked %q, and Google %d times", a.asked, cloud.OAuthRequests())
			}
		})
	}
	t.Run("no region", func(t *testing.T) {
		clearAWS(t)
		t.Setenv("AWS_REGION", "")
		t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/v2/credentials")
		cloud := emulator.Start(t, nil)
		_, err := mustKey(t, external(cloud, awsSource(), object{"subject_token_type": awsType}), nil).Fetch(t.Context())
		if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") && !strings.Contains(err.Error(), "AWS_REGION") {
			t.Errorf("%v", err)
		}
	})
	t.Run("another verification address", func(t *testing.T) {
		clearAWS(t)
		t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/v2/credentials")
		source := awsSource()
		source["regional_cred_verification_url"] = "https://sts.{region}.amazonaws.com.cn?Action=GetCallerIdentity"
		cloud := emulator.Start(t, nil)
		_, err := mustKey(t, external(cloud, source, object{"subject_token_type": awsType}), nil).Fetch(t.Context())
		if !errors.Is(err, credentials.ErrMisconfigured) || !strings.Contains(err.Error(), "regional_cred_verification_url") {
			t.Errorf("%v", err)
		}
	})
}

// Keys are told by their source and so much of their name that one knows them again.
func TestFindAWS(t *testing.T) {
	clearAWS(t)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true") // this machine may be Amazon's
	if found, err := credentials.FindAWS(t.Context()); found != nil {
		t.Errorf("%+v, %v where nothing is named", found, err)
	}
	a := newAmazon(t)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", a.URL+"/v2/credentials")
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-PLANTED")
	found, err := credentials.FindAWS(t.Context())
	if err != nil || found.KeyID != "…" || found.Region != "eu-west-1" || found.Expires.Year() < 2098 || !strings.Contains(found.Source, "Endpoint") {
		t.Errorf("%+v, %v", found, err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE0042")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "PLANTED")
	if found, err = credentials.FindAWS(t.Context()); err != nil || found.KeyID != "AKID…0042" || !found.Expires.IsZero() {
		t.Errorf("%+v, %v", found, err)
	}
}
