package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// executable is a program that prints a foreign token, by the rules of Google's executable-sourced credentials.
type executable struct {
	argv        func() []string // a function, since fmt reads fields and there may be a secret among the arguments
	timeout     time.Duration
	outputFile  string // where the program may keep its answer for later; empty for nowhere
	environment []string
}

// The bounds that Google's rules set for timeout_millis.
const (
	minExecutableTime = 5 * time.Second
	maxExecutableTime = 2 * time.Minute
)

func newExecutable(f *keyFile, allowed bool) (*executable, error) {
	c := f.CredentialSource.Executable
	argv := strings.Fields(c.Command)
	x := &executable{argv: func() []string { return argv }, timeout: runTime, outputFile: c.OutputFile}
	if c.TimeoutMillis != nil {
		x.timeout = time.Duration(*c.TimeoutMillis) * time.Millisecond
	}
	switch {
	case !allowed:
		return nil, errors.New("it runs an executable, which is not allowed: set GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1 if it is meant")
	case len(argv) == 0:
		return nil, errors.New("its credential_source.executable has no command")
	case x.timeout < minExecutableTime || x.timeout > maxExecutableTime:
		return nil, fmt.Errorf("its timeout_millis is not between %v and %v", minExecutableTime, maxExecutableTime)
	}
	x.environment = []string{
		"GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=" + f.Audience,
		"GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=" + f.SubjectTokenType,
		"GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0",
	}
	if m := impersonationURL.FindStringSubmatch(f.ImpersonationURL); m != nil {
		x.environment = append(x.environment, "GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL="+m[2])
	}
	if x.outputFile != "" {
		x.environment = append(x.environment, "GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE="+x.outputFile)
	}
	return x, nil
}

// subjectToken looks into the output file first, as the rules say. What is no good there is got anew.
func (x *executable) subjectToken(ctx context.Context) (string, error) {
	if _, text, err := readBounded(x.outputFile); err == nil {
		if token, err := x.read(text, time.Now()); err == nil {
			return token, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	text, err := run(ctx, x.argv(), x.environment)
	if err != nil {
		return "", err
	}
	return x.read(text, time.Now())
}

// read reads an answer. Of a failure it repeats the code and the message, which are made for people, and
// nothing of a success.
func (x *executable) read(text []byte, now time.Time) (string, error) {
	var said struct {
		Version   int    `json:"version"`
		Success   *bool  `json:"success"`
		Kind      string `json:"token_type"`
		Expiry    int64  `json:"expiration_time"`
		IDToken   string `json:"id_token"`
		Assertion string `json:"saml_response"`
		Code      string `json:"code"`
		Complaint string `json:"message"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return "", errors.New("what it printed is not a JSON object")
	}
	var token *string
	switch said.Kind {
	case "urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token":
		token = &said.IDToken
	case "urn:ietf:params:oauth:token-type:saml2":
		token = &said.Assertion
	}
	switch {
	case said.Version != 1:
		return "", fmt.Errorf("its answer has version %d, not 1", said.Version)
	case said.Success == nil:
		return "", errors.New("its answer does not say success")
	case !*said.Success:
		return "", fmt.Errorf("it failed: %s", printable(said.Code+" "+said.Complaint, 200))
	case token == nil:
		return "", fmt.Errorf("its answer has token_type %.60q, which is none of jwt, id_token and saml2", said.Kind)
	case *token == "":
		return "", errors.New("its answer holds no token")
	case x.outputFile != "" && said.Expiry == 0:
		return "", errors.New("its answer has no expiration_time, which an output_file needs")
	case said.Expiry != 0 && said.Expiry <= now.Unix():
		return "", errors.New("its token has expired")
	}
	return *token, nil
}
