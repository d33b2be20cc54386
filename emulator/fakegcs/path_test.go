package fakegcs_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/emulator/fakegcs"
)

// onBoth runs a test against each of the two storage servers.
func onBoth(t *testing.T, test func(t *testing.T, cloud *emulator.Cloud)) {
	for name, start := range map[string]func(emulator.TB, *emulator.Options) *emulator.Cloud{
		"own": emulator.Start, "fake-gcs-server": fakegcs.Start,
	} {
		t.Run(name, func(t *testing.T) {
			cloud := start(t, nil)
			if err := cloud.CreateBucket("bucket"); err != nil {
				t.Fatal(err)
			}
			test(t, cloud)
		})
	}
}

func setFault(t *testing.T, cloud *emulator.Cloud, m emulator.Match, then emulator.Then) {
	t.Helper()
	m.Server = emulator.ServerStorage
	checkFired(t, cloud)
	if err := cloud.SetFaults(emulator.Fault{Name: "it", Match: m, Then: then}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkFired(t, cloud) })
}

// checkFired fails if the rule in force never took effect: then the test has shown nothing.
func checkFired(t *testing.T, cloud *emulator.Cloud) {
	t.Helper()
	for _, f := range cloud.Faults().Rules() {
		if cloud.Faults().Fired()[f.Name] == 0 {
			t.Errorf("the fault %s never took effect", f.Then.Effect)
		}
	}
}

func readAll(t *testing.T, c *storage.Client, name string) ([]byte, error) {
	t.Helper()
	r, err := c.Bucket("bucket").Object(name).NewReader(t.Context())
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

// TestLostReply is the trap that a commit protocol has to be built around: a client that still holds the body repeats a
// conditional write whose reply was lost by a reset, and its own success becomes a 412. A client that streams, or one
// that saw an orderly close, does not repeat it: the outcome is unknown.
func TestLostReply(t *testing.T) {
	const buffered, streamed = 256 << 10, 0
	onBoth(t, func(t *testing.T, cloud *emulator.Cloud) {
		c := client(t, cloud)
		for _, tc := range []struct {
			name   string
			effect emulator.Effect
			chunk  int
			want   int // status that the writer hears, 0 for an error without one
		}{
			{"buffered, reset", emulator.EffectReset, buffered, 412},
			{"buffered, closed", emulator.EffectClose, buffered, 0},
			{"streamed, reset", emulator.EffectReset, streamed, 0},
		} {
			name := "jobs/" + tc.name + "/HEAD"
			setFault(t, cloud, emulator.Match{Ops: []emulator.Op{emulator.OpInsert}, Object: "jobs/*/HEAD", Nth: 1},
				emulator.Then{Effect: tc.effect, Apply: true})
			err := upload(t.Context(), c.Bucket("bucket").Object(name).If(storage.Conditions{DoesNotExist: true}), tc.chunk, []byte("mine"))
			var failed *googleapi.Error
			heard := 0
			if errors.As(err, &failed) {
				heard = failed.Code
			}
			if err == nil || heard != tc.want {
				t.Errorf("%s: the writer hears %v, want status %d", tc.name, err, tc.want)
			}
			if got, err := readAll(t, c, name); err != nil || string(got) != "mine" {
				t.Errorf("%s: the object holds %q, %v", tc.name, got, err)
			}
		}
	})
}

func TestBrokenAndWrongReads(t *testing.T) {
	onBoth(t, func(t *testing.T, cloud *emulator.Cloud) {
		c := client(t, cloud)
		body := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
		if err := upload(t.Context(), c.Bucket("bucket").Object("o"), 0, body); err != nil {
			t.Fatal(err)
		}
		first := emulator.Match{Ops: []emulator.Op{emulator.OpRead}, Nth: 1}

		setFault(t, cloud, first, emulator.Then{Effect: emulator.EffectBreak, Bytes: 10_000})
		if got, err := readAll(t, c, "o"); err != nil || !bytes.Equal(got, body) {
			t.Errorf("after a break the client resumes: %d bytes, %v", len(got), err)
		}
		setFault(t, cloud, first, emulator.Then{Effect: emulator.EffectStatus, Status: 503})
		if got, err := readAll(t, c, "o"); err != nil || !bytes.Equal(got, body) {
			t.Errorf("after a 503 the client retries: %d bytes, %v", len(got), err)
		}
		for _, then := range []emulator.Then{
			{Effect: emulator.EffectFlip, Bytes: 10_000},
			{Effect: emulator.EffectWrongCRC},
		} {
			setFault(t, cloud, first, then)
			if got, err := readAll(t, c, "o"); err == nil {
				t.Errorf("%s: the client took %d bytes for good", then.Effect, len(got))
			}
		}
	})
}

// TestRevoked shows a token that dies between the client and the server.
func TestRevoked(t *testing.T) {
	onBoth(t, func(t *testing.T, cloud *emulator.Cloud) {
		c := client(t, cloud)
		setFault(t, cloud, emulator.Match{Nth: 1}, emulator.Then{Effect: emulator.EffectRevoke})
		var failed *googleapi.Error
		if err := upload(t.Context(), c.Bucket("bucket").Object("o"), 0, nil); !errors.As(err, &failed) || failed.Code != 401 {
			t.Errorf("with a token that was revoked on its way: %v, want 401", err)
		}
		if err := upload(t.Context(), client(t, cloud).Bucket("bucket").Object("o"), 0, nil); err != nil {
			t.Errorf("with the next token: %v", err)
		}
	})
}
