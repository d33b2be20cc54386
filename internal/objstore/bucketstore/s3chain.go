package bucketstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// chains are the configurations that this process has read, by what they depend on, so that a thousand stores ask
// a metadata server once. A process has as many as it has environments: one, except in tests.
var chains struct {
	sync.Mutex
	known map[[sha256.Size]byte]aws.Config
}

// chain is Amazon's default: environment, shared files and profiles, web identity, single sign-on, container, instance. Its keys are fetched
// when they are first needed, and cached until shortly before they expire. HMAC keys of Google are in the
// environment or in a file: asking the machine for its role would ask Google's metadata server a question that it does not know.
func chain(ctx context.Context, hmac bool) (aws.Config, error) {
	var options []func(*config.LoadOptions) error
	key := "amazon"
	if hmac {
		key = "google"
		options = append(options, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	id := settings(key)
	chains.Lock()
	c, ok := chains.known[id]
	chains.Unlock()
	if ok {
		return c, nil
	}
	c, err := config.LoadDefaultConfig(ctx, options...) // reads files, asks nobody
	if err != nil {
		return aws.Config{}, err
	}
	chains.Lock()
	defer chains.Unlock()
	if first, ok := chains.known[id]; ok {
		return first, nil
	}
	if len(chains.known) >= maxChains || chains.known == nil {
		chains.known = map[[sha256.Size]byte]aws.Config{}
	}
	chains.known[id] = c
	return c, nil
}

// maxChains is more than are in use at once; what is forgotten is read again.
const maxChains = 16

// settings is a digest of all that a configuration is read from.
func settings(parts ...string) [sha256.Size]byte {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return !strings.HasPrefix(kv, "AWS_") && !strings.HasPrefix(kv, "HOME=") && !strings.HasPrefix(kv, "USERPROFILE=")
	})
	slices.Sort(env)
	for _, file := range []string{
		cmp.Or(os.Getenv("AWS_CONFIG_FILE"), config.DefaultSharedConfigFilename()),
		cmp.Or(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), config.DefaultSharedCredentialsFilename()),
	} {
		if i, err := os.Stat(file); err == nil {
			parts = append(parts, fmt.Sprint(i.ModTime().UnixNano(), i.Size()))
		}
	}
	return sha256.Sum256([]byte(strings.Join(append(env, parts...), "\x00")))
}
