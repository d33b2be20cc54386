package checkpoint

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gocloud.dev/secrets/localsecrets"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// testKeeper is a keeper with a key of its own that counts what it is asked, and may be told to fail.
type testKeeper struct {
	Keeper
	mu                   sync.Mutex
	encrypted, decrypted int
	fail                 func() error
}

func newTestKeeper(seed byte) *testKeeper {
	return &testKeeper{Keeper: localsecrets.NewKeeper([32]byte{seed}), fail: func() error { return nil }}
}

func (k *testKeeper) Encrypt(ctx context.Context, b []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.encrypted++
	if err := k.fail(); err != nil {
		return nil, err
	}
	return k.Keeper.Encrypt(ctx, b)
}

func (k *testKeeper) Decrypt(ctx context.Context, b []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.decrypted++
	if err := k.fail(); err != nil {
		return nil, err
	}
	return k.Keeper.Decrypt(ctx, b)
}

func openSealed(t testing.TB, mem *memstore.Store, k Keeper) *Store {
	t.Helper()
	s, err := newStore(mem.Peer(), false, withDefaults(&Options{Keeper: k, KeeperName: "vault://orders"}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// secretState has names and contents that are easy to find, small and large, and content that repeats.
var secretState = files{
	"hidden-name/database": bytes.Repeat([]byte("find this content. "), 30_000),
	"hidden-name/noise":    noise(5, 3*embedLimit),
	"hidden-name/small":    []byte("a small secret value"),
	"hidden-name/empty":    {},
}

// Everything works on an encrypted job, with two requests to the key service for any number of checkpoints of one owner; and nothing of the state, of its names or of its hashes
// can be found in the store.
func TestEncryptedJob(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	k := newTestKeeper(1)
	s := openSealed(t, mem, k)
	o := mustAcquire(t, s, &AcquireOptions{Retention: Retention{KeepLast: 2}})
	for i := range 3 {
		w := mustBegin(t, o, secretState)
		w.SetMetadata("hidden-position", []byte("offset four hundred"))
		h, _ := share(t, s, w, "worker", files{"hidden-name/share": noise(7, 2*embedLimit)})
		leaks(t, "the handle", h, "hidden-name")
		leaks(t, "the assignment", mustAssignment(t, w), "hidden-name")
		mustTake(t, w, h)
		if info := mustCommit(t, w); i > 0 && info.NewBytes != 0 {
			t.Errorf("save %d found %d new bytes", i, info.NewBytes)
		}
	}
	if k.encrypted != 1 || k.decrypted != 0 {
		t.Errorf("an owner asked for %d wraps and %d unwraps", k.encrypted, k.decrypted)
	}

	reader := openSealed(t, mem, k)
	state := files{"hidden-name/share": noise(7, 2*embedLimit)}
	for name, b := range secretState {
		state[name] = b
	}
	j := mustJob(t, reader, "j")
	last := mustFind(t, j, "latest")
	if d := state.diff(restored(t, last)); d != "" {
		t.Error(d)
	}
	meta, err := last.Metadata(ctx)
	if err != nil || string(meta["hidden-position"]) != "offset four hundred" {
		t.Errorf("%q, %v", meta, err)
	}
	r, err := last.Open(ctx, "hidden-name/database")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8)
	if _, err := r.ReadAt(b, 19*1000); err != nil || string(b) != "find thi" {
		t.Errorf("%q, %v", b, err)
	}
	onlyNeeded(t, reader, mem, "j")
	if k.decrypted != 1 {
		t.Errorf("a reader asked for %d unwraps", k.decrypted)
	}

	plain := mem.Peer()
	for _, key := range mem.Keys() {
		b, _, err := plain.Get(ctx, key, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		leaks(t, key, b, "hidden-", "find this", "small secret", "four hundred")
		for name, content := range state {
			for off := 0; off < len(content); off += chunkSize {
				chunk := content[off:min(off+chunkSize, len(content))]
				sum := format.Sum(chunk)
				leaks(t, key+": the hash of "+name, b, string(sum[:]))
			}
		}
		leaks(t, key, []byte(key), "hidden-")
	}
}

func leaks(t *testing.T, where string, b []byte, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if bytes.Contains(b, []byte(s)) || bytes.Contains(b, []byte(hex.EncodeToString([]byte(s)))) {
			t.Errorf("%s shows %q", where, s)
		}
	}
}

// Small checkpoints by one-shot saves: they go on with the job's key, and are two writes and one read as without.
func TestEncryptedOneShotSaves(t *testing.T) {
	mem := memstore.New()
	k := newTestKeeper(1)
	small := files{"hidden-name": []byte("hidden-content")}
	for range 3 {
		mustSave(t, openSealed(t, mem, k), "j", small)
	}
	if k.encrypted != 1 || k.decrypted != 2 {
		t.Errorf("three processes asked for %d wraps and %d unwraps", k.encrypted, k.decrypted)
	}
	got := asked(t, mem, func(s *Store) {
		sealed, err := newStore(s.raw, false, withDefaults(&Options{Keeper: k}))
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "d")
		if _, err := mustFind(t, mustJob(t, sealed, "j"), "latest").RestoreDir(context.Background(), "", dir, nil); err != nil {
			t.Fatal(err)
		}
		if d := small.diff(readDir(t, dir)); d != "" {
			t.Error(d)
		}
	})
	if got != "get HEAD" {
		t.Errorf("the restore asked for %s", got)
	}
	if _, err := openSealed(t, mem, k).Save(context.Background(), "j", addAll(small), &SaveOptions{Full: true}); err != nil {
		t.Fatal(err)
	}
	if k.encrypted != 2 {
		t.Error("a full save went on with the old key")
	}
}

// Without the key, or with another, everything that needs it says which key is missing; nothing is called corrupt, and nothing changes.
func TestWrongKey(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	mustSave(t, openSealed(t, mem, newTestKeeper(1)), "j", secretState)
	before := len(mem.Keys())
	for name, s := range map[string]*Store{"no key": openMem(t, mem.Peer()), "another key": openSealed(t, mem, newTestKeeper(2))} {
		t.Run(name, func(t *testing.T) {
			j := mustJob(t, s, "j")
			last := mustFind(t, j, "latest") // HEAD needs none
			tries := map[string]func() error{
				"parts":   func() error { _, err := last.Parts(ctx); return err },
				"restore": func() error { _, err := last.RestoreDir(ctx, "", t.TempDir(), nil); return err },
				"open":    func() error { _, err := last.Open(ctx, "hidden-name/small"); return err },
				"verify":  func() error { _, err := j.Verify(ctx, &VerifyOptions{Data: true}); return err },
				"save":    func() error { _, err := s.Save(ctx, "j", addAll(secretState), nil); return err },
				"share": func() error {
					_, err := j.Worker(1, 2, "w").Finish(ctx)
					return err
				},
			}
			if name == "no key" {
				tries["acquire"] = func() error { _, err := s.Acquire(ctx, "j", nil); return err }
				// It would compare with nothing that needs the key, and be refused by its commit only, with everything in the store for everybody to read.
				tries["full save"] = func() error { _, err := s.Save(ctx, "j", addAll(secretState), &SaveOptions{Full: true}); return err }
			}
			for what, try := range tries {
				err := try()
				if !errors.Is(err, ErrCredentials) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "vault://orders") {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
	if n := len(mem.Keys()); n != before {
		t.Errorf("%d objects, before %d", n, before)
	}
	// Whoever has no key can still clean up.
	s := openMem(t, mem.Peer())
	mustSave(t, openSealed(t, mem, newTestKeeper(1)), "j", files{"a": noise(9, 2*embedLimit)})
	if _, err := mustJob(t, s, "j").Retain(ctx, Retention{KeepLast: 1}, false); err != nil {
		t.Fatal(err)
	}
	report, err := mustJob(t, s, "j").Collect(ctx, nil)
	if err != nil || report.DeletedObjects == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	onlyNeeded(t, openSealed(t, mem, newTestKeeper(1)), mem, "j")
}

// A job that begins to encrypt refers to nothing that lies in the clear, and does not go back.
func TestEncryptionBegins(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	k := newTestKeeper(1)
	plain := openMem(t, mem.Peer())
	mustSave(t, plain, "j", secretState)
	o := mustAcquire(t, openSealed(t, mem, k), &AcquireOptions{Retention: Retention{KeepLast: 1}})
	w := mustBegin(t, o, secretState)
	h, _ := share(t, openSealed(t, mem, k), w, "worker", files{"share": noise(7, 2*embedLimit)})
	mustTake(t, w, h)
	mustCommit(t, w)
	parts, err := mustFind(t, o.Job, "latest").Parts(ctx)
	if err != nil || parts[0].Reason != errInTheClear.Error() {
		t.Errorf("%+v, %v", parts[0], err)
	}
	if _, err := o.Collect(ctx, nil); err != nil {
		t.Fatal(err)
	}
	raw := mem.Peer()
	for _, key := range mem.Keys() {
		b, _, err := raw.Get(ctx, key, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		leaks(t, key, b, "hidden-", "find this")
	}
	if info := mustCommit(t, mustBegin(t, o, secretState)); info.NewBytes != 0 {
		t.Errorf("the second save has %d new bytes", info.NewBytes)
	}
	_, err = plain.Acquire(ctx, "j", nil)
	wantKind(t, err, ErrCredentials)
	if err := mustJob(t, plain, "j").Remove(ctx); err != nil {
		t.Fatal(err)
	}
	mustSave(t, plain, "j", files{"a": []byte("in the clear again")})
}

// A worker and its coordinator have one key, or none.
func TestWorkerKeys(t *testing.T) {
	mem := memstore.New()
	k := newTestKeeper(1)
	sealed, plain := openSealed(t, mem, k), openMem(t, mem.Peer())
	o := mustAcquire(t, sealed, nil)
	c := mustBegin(t, o, files{"a": []byte("1")})
	_, err := mustJob(t, plain, "j").Join(context.Background(), mustAssignment(t, c), "w")
	wantKind(t, err, ErrCredentials)
	_, err = plain.Acquire(context.Background(), "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plain.Acquire(context.Background(), "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	pc := mustBegin(t, p, files{"a": []byte("1")})
	_, err = mustJob(t, sealed, "p").Join(context.Background(), mustAssignment(t, pc), "w")
	wantKind(t, err, ErrInvalid)

	other := openSealed(t, mem, k)
	h, _ := share(t, other, c, "w", files{"b": noise(1, 2*embedLimit)})
	mustTake(t, c, h)
	// A share in the clear, whatever its handle says.
	forged, err := format.EncodeHandle(&format.Handle{Job: "j", Id: c.id, Fence: c.fence, Writer: "v", Incarnation: newNonce(), Stats: new(format.Stats),
		Objects: []*format.Object{{Id: c.id, Writer: "v", Nonce: newNonce(), Size: 1000}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.AddHandle(forged)
	wantKind(t, err, ErrInvalid)
	mustCommit(t, c)
}

// Objects that are swapped, in part or whole, are found, even by somebody who can make every checksum in the clear fit.
func TestSwappedSealedPacks(t *testing.T) {
	mem := memstore.New()
	k := newTestKeeper(1)
	s := openSealed(t, mem, k)
	mustSave(t, s, "j", files{"a": noise(1, embedLimit+chunkSize)})
	o := mustAcquire(t, s, nil)
	w, err := o.Begin(context.Background(), &BeginOptions{Full: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := addAll(files{"a": noise(1, embedLimit+chunkSize)})(w); err != nil { // the same content and length
		t.Fatal(err)
	}
	mustCommit(t, w)
	var packs []string
	for _, key := range mem.Keys() {
		if strings.Contains(key, "/data/") {
			packs = append(packs, key)
		}
	}
	if len(packs) != 2 {
		t.Fatalf("packs %q", packs)
	}
	first, _, err := mem.Peer().Get(context.Background(), packs[0], 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	tamper(t, mem, packs[1], func([]byte) []byte { return first })
	reader := openSealed(t, mem, k)
	_, err = mustFind(t, mustJob(t, reader, "j"), "latest").RestoreDir(context.Background(), "", filepath.Join(t.TempDir(), "x"), nil)
	if e := wantKind(t, err, ErrCorrupt); !strings.Contains(e.Error(), "does not open with its key") {
		t.Errorf("found by something else: %v", e)
	}
	if d := (files{"a": noise(1, embedLimit+chunkSize)}).diff(restored(t, mustFind(t, mustJob(t, reader, "j"), "1"))); d != "" {
		t.Error(d)
	}
}

// A key service that does not answer is asked again; one that stays away is "unavailable", and one that refuses is "permission denied".
func TestKeeperFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		k := newTestKeeper(1)
		until := time.Now().Add(20 * time.Second)
		k.fail = func() error {
			if time.Now().Before(until) {
				return &timeout{}
			}
			return nil
		}
		mustSave(t, openSealed(t, mem, k), "j", secretState)
		if k.encrypted < 3 {
			t.Errorf("asked %d times", k.encrypted)
		}
		for _, tc := range []struct{ says, kind error }{
			{&timeout{}, ErrUnavailable}, {&Error{Kind: ErrPermission, Op: "kms"}, ErrPermission}, {errors.New("no such key"), ErrCredentials},
		} {
			k.fail = func() error { return tc.says }
			start := time.Now()
			_, err := mustFind(t, mustJob(t, openSealed(t, mem, k), "j"), "latest").Parts(context.Background())
			wantKind(t, err, tc.kind)
			if d := time.Since(start); (d > defaultRetryFor) != errors.Is(tc.kind, ErrUnavailable) {
				t.Errorf("%v after %s", tc.kind, d)
			}
			_, err = openSealed(t, mem, k).Acquire(context.Background(), "j", nil)
			wantKind(t, err, tc.kind)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		k.fail = func() error { return &timeout{} }
		_, err := openSealed(t, mem, k).Acquire(ctx, "j", nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's time ended, and it says %v", err)
		}
	})
}

type timeout struct{}

func (*timeout) Error() string   { return "no answer" }
func (*timeout) Timeout() bool   { return true }
func (*timeout) Temporary() bool { return true }

// Many readers that need one key ask for it once.
func TestKeysAreAskedForOnce(t *testing.T) {
	mem := memstore.New()
	k := newTestKeeper(1)
	mustSave(t, openSealed(t, mem, k), "j", secretState)
	var s *Store
	synctest.Test(t, func(t *testing.T) {
		slow := &slowKeeper{Keeper: k.Keeper}
		s = openSealed(t, mem, slow)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := mustFind(t, mustJob(t, s, "j"), "latest").Parts(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := slow.asked.Load(); n != 1 {
			t.Errorf("%d times", n)
		}
	})
	var key *format.DataKey
	for _, key = range s.keyring.keys {
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if len(s.keyring.keys) != 0 {
		t.Error("keys are remembered after Close")
	}
	if same, err := format.NewDataKey(key.Wrapped(), make([]byte, format.DataKeySize)); err != nil || *same != *key {
		t.Error("the secret was not wiped")
	}
}

// slowKeeper takes its time, so that everybody asks while the first waits.
type slowKeeper struct {
	Keeper
	asked atomic.Int64
}

func (k *slowKeeper) Decrypt(ctx context.Context, b []byte) ([]byte, error) {
	k.asked.Add(1)
	if err := sleep(ctx, time.Second); err != nil {
		return nil, err
	}
	return k.Keeper.Decrypt(ctx, b)
}

// The job was in the clear when the owner without a key read HEAD, and is encrypted when it writes.
func TestEncryptionBeginsUnderAnAcquisition(t *testing.T) {
	mem := memstore.New()
	mustSave(t, openMem(t, mem.Peer()), "j", files{"a": []byte("1")})
	peer, once := mem.Peer(), sync.Once{}
	peer.SetFault(func(op memstore.Op) memstore.Outcome {
		if isHeadPut(op) {
			once.Do(func() { mustAcquire(t, openSealed(t, mem, newTestKeeper(1)), nil) })
		}
		return memstore.OK
	})
	_, err := openMem(t, peer).Acquire(context.Background(), "j", nil)
	wantKind(t, err, ErrCredentials)
}
