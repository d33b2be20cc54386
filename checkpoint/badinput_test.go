package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func TestOpenRefusesBadURLs(t *testing.T) {
	t.Setenv("AZURE_STORAGE_ACCOUNT", "")
	for url, says := range map[string]string{
		"":                                  "no scheme",
		"bucket/prefix":                     "no scheme",
		"ftp://host/dir":                    `unknown scheme "ftp"`,
		"gs:///prefix":                      "needs a bucket",
		"gs://b/p?endpont=x":                `no parameter "endpont"`,
		"gs://b/p?endpoint=127.0.0.1:1":     "endpoint",
		"gs://user:secret@b/p":              "no user or password",
		"file://relative/dir":               "names a host",
		"file:dir":                          "absolute path",
		"file:///d?x=1":                     "no parameter",
		"gs://b/p?endpoint=http://[::1":     "endpoint",
		"http://b:secret-in-port/x":         "cannot be parsed",
		"mem://x?endpoint=http://localhost": "no parameter",
		"abfs://container/prefix":           `unknown scheme "abfs"`,
		"azblob://container/prefix":         "which storage account",
		"azblob:///prefix":                  "needs a container",
		"azblob://c/p?sas_token=secret":     `no parameter "sas_token"`,
		"s3:///prefix":                      "needs a bucket",
		"s3://b/p":                          "no name of a bucket",
		"s3://bucket/p?profile=x":           `no parameter "profile"`,
		"s3://bucket/p?region=eu/../west":   "no region",
		"s3://bucket/../p?region=auto":      "dot",

		"s3://bucket/p?region=us-iso-east-1":                                       "parameter endpoint",
		"s3://bucket/p?region=auto&use_path_style=maybe":                           "true or false",
		"s3://bucket/p?region=auto&endpoint=storage.googleapis.com":                "https://host:port",
		"s3://bucket/p?region=auto&endpoint=https://id:secret@host":                "https://host:port",
		"s3://bucket/p?region=auto&endpoint=https://host/path":                     "https://host:port",
		"s3://bucket/p?region=auto&endpoint=http://storage.googleapis.com":         "not encrypted",
		"s3://bucket/p?region=auto&endpoint=http://127.0.0.1.example.org:9000":     "not encrypted",
		"s3://id:secret@bucket/p?endpoint=https://storage.googleapis.com":          "no user or password",
		"s3://bucket/p?endpoint=https://storage.googleapis.com&access_key=secret1": `no parameter "access_key"`,
	} {
		_, err := Open(context.Background(), url, nil)
		e := wantKind(t, err, ErrInvalid)
		if !strings.Contains(e.Error(), says) || e.Hint == "" {
			t.Errorf("%q: %v (hint %q), want %q", url, e, e.Hint, says)
		}
		if strings.Contains(e.Error(), "secret") {
			t.Errorf("the error shows a secret: %v", e)
		}
	}
}

func TestOpenRefusesABudgetThatCannotFit(t *testing.T) {
	_, err := Open(context.Background(), "mem://", &Options{MemoryBudget: 1 << 20})
	if e := wantKind(t, err, ErrBudget); !strings.Contains(e.Error(), "16777216") {
		t.Errorf("the error does not say how much is needed: %v", e)
	}
}

func TestJobNames(t *testing.T) {
	s := openMem(t, memstore.New())
	for _, name := range []string{"", ".", "..", "a/b", "../x", `a\b`, "a\nb", "\xff", strings.Repeat("x", 201)} {
		_, err := s.Job(name)
		wantKind(t, err, ErrInvalid)
		_, err = s.Acquire(context.Background(), name, nil)
		wantKind(t, err, ErrInvalid)
	}
	for _, name := range []string{"a", "orders v2", "zähler", "…", strings.Repeat("x", 200)} {
		if _, err := s.Job(name); err != nil {
			t.Error(err)
		}
	}
}

// What stands where HEAD belongs and is none: each case its own error, and nothing is written over it.
func TestForeignHeads(t *testing.T) {
	ctx := context.Background()
	head, err := format.EncodeHead(&format.Head{Nonce: newNonce(), Fence: newNonce(), Epoch: 1, Last: &format.CheckpointID{}})
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Clone(head)
	newer[9]++
	for name, tt := range map[string]struct {
		body []byte
		kind error
		says string
	}{
		"another product": {[]byte("<html><body>502 Bad Gateway</body></html>"), ErrCorrupt, "not a tidemark object"},
		"empty":           {nil, ErrCorrupt, "not a tidemark object"},
		"newer":           {newer, ErrUnsupported, "newer version"},
		"flipped":         {changed(head, len(head)-6), ErrCorrupt, "CRC32C"},
		"cut":             {head[:len(head)-3], ErrCorrupt, "CRC32C"},
	} {
		t.Run(name, func(t *testing.T) {
			mem := memstore.New()
			if _, err := mem.Put(ctx, "j/HEAD", tt.body, objstore.Absent); err != nil {
				t.Fatal(err)
			}
			s := openMem(t, mem)
			_, acquireErr := s.Acquire(ctx, "j", nil)
			_, saveErr := s.Save(ctx, "j", addAll(files{"a": {1}}), nil)
			_, latestErr := mustJob(t, s, "j").Latest(ctx)
			for _, err := range []error{acquireErr, saveErr, latestErr} {
				e := wantKind(t, err, tt.kind)
				if !strings.Contains(e.Error(), tt.says) || e.Object != "j/HEAD" || e.Hint == "" {
					t.Errorf("the error says too little: %v (hint %q)", e, e.Hint)
				}
			}
			if b, _, err := mem.Get(ctx, "j/HEAD", 1<<20); err != nil || !bytes.Equal(b, tt.body) {
				t.Errorf("what stood there was touched: %q, %v", b, err)
			}
		})
	}
}

// A lost permission or a lost token must never look like an empty store: the caller would start from zero.
func TestRefusalsAreNotAbsence(t *testing.T) {
	ctx := context.Background()
	for kind, want := range map[objstore.Kind]error{
		objstore.KindPermission: ErrPermission, objstore.KindCredentials: ErrCredentials, objstore.KindUnavailable: ErrUnavailable, objstore.KindThrottled: ErrThrottled,
	} {
		synctest.Test(t, func(t *testing.T) {
			mem := memstore.New()
			mustSave(t, openMem(t, mem), "j", files{"a": {1}})
			mem.SetFault(func(memstore.Op) memstore.Outcome {
				return memstore.Outcome{Err: &objstore.Error{Kind: kind, Op: "fault", Permission: "storage.objects.get", Principal: "me@example.com"}}
			})
			s := openMem(t, mem)
			j := mustJob(t, s, "j")
			_, latestErr := j.Latest(ctx)
			_, listErr := j.List(ctx)
			_, saveErr := s.Save(ctx, "j", addAll(files{"a": {2}}), nil)
			_, acquireErr := s.Acquire(ctx, "j", nil)
			_, collectErr := j.Collect(ctx, nil)
			_, verifyErr := j.Verify(ctx, nil)
			for _, err := range []error{latestErr, listErr, saveErr, acquireErr, collectErr, verifyErr} {
				if wantKind(t, err, want).Hint == "" || errors.Is(err, ErrNotFound) {
					t.Errorf("%v says too little, or that nothing is there", err)
				}
			}
			if hint := wantKind(t, latestErr, want).Hint; kind == objstore.KindPermission && !strings.Contains(hint, "storage.objects.get to me@example.com") {
				t.Errorf("the hint does not say what to grant to whom: %q", hint)
			}
			for _, err := range s.Jobs(ctx) {
				wantKind(t, err, want)
			}
		})
	}
}

// lax is a store that ignores conditions.
type lax struct{ *memstore.Store }

func (l lax) Put(ctx context.Context, key string, body []byte, _ objstore.Version) (objstore.Version, error) {
	_, v, err := l.Get(ctx, key, 1<<20)
	if err != nil {
		v = objstore.Absent
	}
	return l.Store.Put(ctx, key, body, v)
}

func TestStoreWithoutConditionsIsRefused(t *testing.T) {
	mem := memstore.New()
	s, err := newStore(lax{mem}, true, withDefaults(nil))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Acquire(context.Background(), "j", nil)
	if e := wantKind(t, err, ErrUnsupported); !strings.Contains(e.Error(), "create-if-absent") {
		t.Errorf("the error does not say what is missing: %v", e)
	}
	_, err = s.Save(context.Background(), "j", addAll(files{"a": {1}}), nil)
	wantKind(t, err, ErrUnsupported)
	if keys := mem.Keys(); len(keys) != 0 {
		t.Errorf("left behind: %q", keys)
	}
}

func TestOutageEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		mem.SetFault(func(memstore.Op) memstore.Outcome {
			return memstore.Outcome{Err: &objstore.Error{Kind: objstore.KindUnavailable, Op: "fault", Err: errors.New("503")}}
		})
		s, err := newStore(mem, false, withDefaults(&Options{RetryFor: 20 * time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = mustJob(t, s, "j").Latest(context.Background())
		if e := wantKind(t, err, ErrUnavailable); !e.Retryable() || !strings.Contains(e.Error(), "503") {
			t.Errorf("the error hides its cause: %v", e)
		}
		if d := time.Since(start); d < 5*time.Second || d > 25*time.Second {
			t.Errorf("gave up after %s, asked for 20 s", d)
		}
	})
}

func TestMetadata(t *testing.T) {
	ctx := context.Background()
	s := openMem(t, memstore.New())
	_, err := s.Save(ctx, "j", func(w *Writer) error {
		w.SetMetadata("offsets", []byte{0, 1, 255})
		w.SetMetadata("empty", nil)
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mustFind(t, mustJob(t, s, "j"), "latest").Metadata(ctx)
	if err != nil || len(m) != 2 || !bytes.Equal(m["offsets"], []byte{0, 1, 255}) {
		t.Errorf("%v, %v", m, err)
	}
	_, err = s.Save(ctx, "j", func(w *Writer) error { w.SetMetadata("x", make([]byte, maxMetadata)); return nil }, nil)
	wantKind(t, err, ErrInvalid)
}

func TestCommitNeedsWholeParts(t *testing.T) {
	ctx := context.Background()
	s := openMem(t, memstore.New())
	o := mustAcquire(t, s, nil)
	w, err := o.Begin(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken source")
	if err := w.Add("a", &brokenReader{broken}); !errors.Is(err, broken) {
		t.Fatalf("the source's error is lost: %v", err)
	}
	_, err = w.Commit(ctx)
	if e := wantKind(t, err, ErrInvalid); e.Part != "a" {
		t.Errorf("the error does not name the part: %v", e)
	}
}

type brokenReader struct{ err error }

func (b *brokenReader) Read(p []byte) (int, error) { return 0, b.err }
