package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/emulator/fakegcs"
	"go.yaml.in/yaml/v3"
)

// cloudFlags are the flags of emulator.
type cloudFlags struct {
	storage, metadata, oauth  string
	tokenLifetime, reuseUntil duration
	faults                    string
	buckets                   []string
	storageServer             string
	memory                    byteSize
	rateLimit, allowRemote    bool
	testbench                 bool
	s3                        s3Flags
}

// cloudReady is the line that emulator prints once its servers answer.
type cloudReady struct {
	StorageURL  string            `json:"storage_url"`
	MetadataURL string            `json:"metadata_url"`
	OAuthURL    string            `json:"oauth_url"`
	Stores      []string          `json:"stores"` // one per --bucket, ready to be used as STORE
	Env         map[string]string `json:"env"`    // for programs that shall take it for the real cloud
	S3          *s3Ready          `json:"s3,omitempty"`
}

func newEmulatorCommand(a *app) *cobra.Command {
	var f cloudFlags
	cmd := &cobra.Command{
		Use:   "emulator",
		Short: "Run fake storage and metadata servers, with faults",
		Long: `Run a fake cloud until it is interrupted: an object store that checks tokens, a metadata server that issues them, and
an OAuth2 token endpoint. One line of JSON says where they are, once they answer. Objects are kept in memory. --faults
takes rules in YAML or JSON, see docs/cli.md.

Whoever reaches the servers gets tokens and data, so they listen on loopback unless --allow-remote is given.`,
		Example: `  tidemark emulator --storage 127.0.0.1:4443 --metadata 127.0.0.1:8174 --bucket checkpoints
  tidemark emulator --token-lifetime 20s --reuse-until 5s --faults faults.yaml`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.storage, "storage", "127.0.0.1:0", "address of the storage server")
	flags.StringVar(&f.metadata, "metadata", "127.0.0.1:0", "address of the metadata server")
	flags.StringVar(&f.oauth, "oauth", "127.0.0.1:0", "address of the OAuth2 token endpoint")
	flags.Var(&f.tokenLifetime, "token-lifetime", "how long a token lives (default 1h)")
	flags.Var(&f.reuseUntil, "reuse-until", "hand out the same token until it has this long left (default 4m, or a 15th of the lifetime)")
	flags.StringVar(&f.faults, "faults", "", "file with rules of what goes wrong, YAML or JSON")
	flags.StringArrayVar(&f.buckets, "bucket", nil, "create this bucket (repeatable)")
	flags.Var(&f.memory, "memory", "how much of objects is kept, e.g. 512MiB (default 1GiB)")
	flags.BoolVar(&f.rateLimit, "rate-limit", false, "answer 429 to a second write of an object within a second, as GCS does")
	flags.StringVar(&f.storageServer, "storage-server", "tidemark", "tidemark or fake-gcs")
	flags.BoolVar(&f.testbench, "testbench", false, "stand in for Google's storage-testbench: retry tests, and requests without a token")
	f.s3.register(flags)
	flags.BoolVar(&f.allowRemote, "allow-remote", false, "allow addresses that other machines can reach")
	cmd.RunE = a.action(func(ctx context.Context, _ []string) error { return a.runEmulator(ctx, f) })
	return cmd
}

// runEmulator serves until ctx ends. That is the ordinary end of a server, and no error.
func (a *app) runEmulator(ctx context.Context, f cloudFlags) (err error) {
	opts, err := f.options()
	if err != nil {
		return err
	}
	cloud, err := emulator.Listen(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()
	ready := cloudReady{
		StorageURL: cloud.StorageURL(), MetadataURL: cloud.MetadataURL(), OAuthURL: cloud.OAuthURL(), Stores: []string{},
		Env: map[string]string{"GCE_METADATA_HOST": cloud.MetadataHost()},
	}
	for _, bucket := range f.buckets {
		if err := cloud.CreateBucket(bucket); err != nil {
			return err
		}
		ready.Stores = append(ready.Stores, cloud.StoreURL(bucket, ""))
	}
	f.s3.describe(&ready, f.buckets)
	if err := a.printJSON(ready); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (f *cloudFlags) options() (*emulator.Options, error) {
	for flag, addr := range map[string]string{"--storage": f.storage, "--metadata": f.metadata, "--oauth": f.oauth} {
		if err := checkAddress(flag, addr, f.allowRemote); err != nil {
			return nil, err
		}
	}
	if f.tokenLifetime < 0 || f.reuseUntil < 0 {
		return nil, usagef("--token-lifetime and --reuse-until cannot be negative")
	}
	if f.reuseUntil > 0 && f.tokenLifetime > 0 && f.reuseUntil >= f.tokenLifetime {
		return nil, usagef("--reuse-until %s is not shorter than the token's life of %s", &f.reuseUntil, &f.tokenLifetime)
	}
	opts := &emulator.Options{
		StorageAddr: f.storage, MetadataAddr: f.metadata, OAuthAddr: f.oauth, AllowNonLoopback: f.allowRemote,
		Testbench: f.testbench,
		Metadata:  &emulator.MetadataOptions{TokenLifetime: time.Duration(f.tokenLifetime), ReuseUntil: time.Duration(f.reuseUntil)},
	}
	switch f.storageServer {
	case "tidemark":
		opts.Storage = &emulator.StorageOptions{Memory: int64(f.memory), RateLimit: f.rateLimit}
		var err error
		if opts.Storage.S3, err = f.s3.options(); err != nil {
			return nil, err
		}
	case "fake-gcs":
		if f.s3.wanted() {
			return nil, usagef("--s3 and --s3-key are for the storage server tidemark; fake-gcs does not speak S3")
		}
		if f.memory != 0 || f.rateLimit {
			return nil, usagef("--memory and --rate-limit are for the storage server tidemark; fake-gcs has neither")
		}
		if err := f.useFakeGCS(opts); err != nil {
			return nil, err
		}
	default:
		return nil, usagef("--storage-server is tidemark or fake-gcs, not %q", f.storageServer)
	}
	var err error
	opts.Faults, err = readFaults(f.faults)
	return opts, err
}

func checkAddress(flag, addr string, allowRemote bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("%s %s is no address: %v", flag, addr, err).hinted("an address is HOST:PORT, for instance 127.0.0.1:0")
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && !allowRemote {
		return usagef("%s %s is not on loopback, and whoever reaches it gets tokens and data", flag, addr).
			hinted("use 127.0.0.1, or add --allow-remote")
	}
	return nil
}

// useFakeGCS makes the server before the cloud that has the check of tokens, because only here can making it fail.
func (f *cloudFlags) useFakeGCS(opts *emulator.Options) error {
	var check func(bearer string) error
	server, err := fakegcs.New(func(bearer string) error { return check(bearer) })
	if err != nil {
		return err
	}
	opts.StorageHandler = func(authorize func(bearer string) error) http.Handler {
		check = authorize
		return server
	}
	return nil
}

// readFaults reads rules from YAML, of which JSON is a part.
func readFaults(file string) ([]emulator.Fault, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, usagef("file %s does not exist", file)
	}
	if err != nil {
		return nil, fileError("read faults", file, err)
	}
	var rules any
	if err := yaml.Unmarshal(text, &rules); err != nil {
		return nil, usagef("faults %s: %v", file, err)
	}
	if rules == nil {
		return nil, nil
	}
	asJSON, err := json.Marshal(rules)
	if err != nil {
		return nil, usagef("faults %s: %v", file, err)
	}
	faults, err := emulator.ParseFaults(asJSON)
	if err != nil {
		return nil, usagef("faults %s: %v", file, err)
	}
	return faults, nil
}
