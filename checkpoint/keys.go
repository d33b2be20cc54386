package checkpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"gocloud.dev/gcerrors"

	"github.com/tidemark-go/tidemark/internal/format"
)

// Keeper wraps data keys with a key that never leaves it: a key service, Vault, or a secret of one's own. A *secrets.Keeper of gocloud.dev/secrets is one. What it
// encrypts has to be authenticated, as every key service does. Safe for concurrent use.
type Keeper interface {
	Encrypt(ctx context.Context, plaintext []byte) ([]byte, error)
	Decrypt(ctx context.Context, ciphertext []byte) ([]byte, error)
}

// packKeys is how many packs' keys are remembered: of those that a restore reads at once, and the next ones.
const packKeys = 256

// keyring holds the data keys that a store has open. The keeper is asked once for each.
type keyring struct {
	keeper Keeper
	name   string
	limit  time.Duration

	mu      sync.Mutex
	keys    format.Keyring
	opening map[format.KeyID]chan struct{} // closed when the one that asks has its answer
	packs   *lru.Cache[format.Nonce, *format.FrameKey]
}

func newKeyring(o *Options) (*keyring, error) {
	packs, err := lru.New[format.Nonce, *format.FrameKey](packKeys)
	return &keyring{keeper: o.Keeper, name: o.KeeperName, limit: o.RetryFor, keys: format.Keyring{}, opening: map[format.KeyID]chan struct{}{}, packs: packs}, err
}

// wipe forgets every key.
func (k *keyring) wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.keys {
		key.Wipe()
	}
	clear(k.keys)
	k.packs.Purge()
}

// create makes a data key and has it wrapped.
func (k *keyring) create(ctx context.Context) (*format.DataKey, error) {
	secret := make([]byte, format.DataKeySize)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	defer clear(secret)
	var wrapped []byte
	err := k.ask(ctx, fmt.Sprintf("keeper %q cannot wrap a data key", k.name), func(ctx context.Context) (err error) {
		wrapped, err = k.keeper.Encrypt(ctx, secret)
		return err
	})
	if err != nil {
		return nil, err
	}
	key, err := format.NewDataKey(&format.WrappedKey{Id: newNonce(), Keeper: k.name, Wrapped: wrapped}, secret)
	if err != nil {
		return nil, &Error{Kind: ErrInvalid, Op: "encrypt", Err: err}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[key.ID()] = key
	return key, nil
}

// open has the keeper unwrap a data key, unless it did before.
func (k *keyring) open(ctx context.Context, w *format.WrappedKey) (*format.DataKey, error) {
	id := format.KeyID(w.Id)
	for {
		k.mu.Lock()
		if key := k.keys[id]; key != nil {
			k.mu.Unlock()
			return key, nil
		}
		if k.keeper == nil {
			k.mu.Unlock()
			return nil, &Error{Kind: ErrCredentials, Op: "decrypt", Err: fmt.Errorf("it is encrypted with data key %x of keeper %q, and this store was opened without a key", w.Id, w.Keeper),
				Hint: "open the store with its key: Options.Keeper, or --key-url"}
		}
		other, asked := k.opening[id]
		mine := make(chan struct{})
		if !asked {
			k.opening[id] = mine
		}
		k.mu.Unlock()
		if !asked {
			return k.unwrap(ctx, w, mine)
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (k *keyring) unwrap(ctx context.Context, w *format.WrappedKey, done chan struct{}) (key *format.DataKey, err error) {
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if key != nil {
			k.keys[key.ID()] = key
		}
		delete(k.opening, format.KeyID(w.Id))
		close(done)
	}()
	var secret []byte
	defer func() { clear(secret) }()
	what := fmt.Sprintf("data key %x, wrapped by keeper %q, does not open with keeper %q", w.Id, w.Keeper, k.name)
	err = k.ask(ctx, what, func(ctx context.Context) (err error) {
		secret, err = k.keeper.Decrypt(ctx, w.Wrapped)
		return err
	})
	if err != nil {
		return nil, err
	}
	if key, err = format.NewDataKey(w, secret); err != nil {
		return nil, &Error{Kind: ErrCredentials, Op: "decrypt", Err: fmt.Errorf("%s: %w", what, err)}
	}
	return key, nil
}

// ask tries again while the keeper does not answer. Its errors may name keys, and hold no secrets.
func (k *keyring) ask(ctx context.Context, what string, call func(context.Context) error) error {
	retries := backoff{limit: k.limit}
	for {
		err := call(ctx)
		if err == nil {
			return nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		kind, hint := keeperKind(err)
		e := &Error{Kind: kind, Op: "ask for a key", Err: fmt.Errorf("%s: %w", what, err), Hint: hint}
		if !errors.Is(kind, ErrUnavailable) && !errors.Is(kind, ErrThrottled) {
			return e
		}
		if waitErr := retries.wait(ctx, err); waitErr != nil {
			e.Err = fmt.Errorf("%s: %w", what, waitErr)
			return e
		}
	}
}

// keeperKind classifies what a keeper says. A key that does not fit is a matter of credentials: it says nothing of the bytes in the store.
func keeperKind(err error) (kind error, hint string) { //nolint:staticcheck // kind is a sentinel
	var network net.Error
	switch code := gcerrors.Code(err); {
	case code == gcerrors.PermissionDenied:
		return ErrPermission, "grant the job's account the use of the key, to encrypt and to decrypt"
	case code == gcerrors.ResourceExhausted:
		return ErrThrottled, "the key service asks for fewer requests; try again later"
	case code == gcerrors.Internal, code == gcerrors.DeadlineExceeded, code == gcerrors.Canceled, errors.As(err, &network):
		return ErrUnavailable, "the key service did not answer; try again later"
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind, e.Hint
	}
	return ErrCredentials, "give the key that the job was encrypted with"
}

// openAll opens every key of an object.
func (k *keyring) openAll(ctx context.Context, object []byte) (format.Keyring, error) {
	wrapped, err := format.WrappedKeys(object)
	if err != nil || len(wrapped) == 0 {
		return nil, err
	}
	ring := make(format.Keyring, len(wrapped))
	for _, w := range wrapped {
		key, err := k.open(ctx, w)
		if err != nil {
			return nil, err
		}
		ring[key.ID()] = key
	}
	return ring, nil
}

// frames is the key of a pack's frames; nil if the pack is not encrypted. The manifest that names the pack has been read, so its key is open.
func (k *keyring) frames(o *format.Object) (*format.FrameKey, error) {
	if len(o.DataKey) == 0 {
		return nil, nil
	}
	nonce := format.Nonce(o.Nonce)
	if key, ok := k.packs.Get(nonce); ok {
		return key, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.keys.FrameKey(o)
	if err != nil {
		return nil, err
	}
	k.packs.Add(nonce, key)
	return key, nil
}

// wrappedOf are the keys that objects are sealed with, as the store keeps them.
func (k *keyring) wrappedOf(objects []*format.Object) []*format.WrappedKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	used := map[format.KeyID]*format.WrappedKey{}
	for _, o := range objects {
		if len(o.DataKey) == 0 {
			continue
		}
		if key := k.keys[format.KeyID(o.DataKey)]; key != nil {
			used[key.ID()] = key.Wrapped()
		}
	}
	return slices.Collect(maps.Values(used))
}

// sealing says how an object of this nonce is sealed that refers to objects; nil without a key.
func (k *keyring) sealing(key *format.DataKey, nonce []byte, objects []*format.Object) *format.Sealing {
	if key == nil {
		return nil
	}
	return &format.Sealing{Key: key, Nonce: format.Nonce(nonce), Keys: k.wrappedOf(objects)}
}

// decodeFrame checks and opens a frame of a pack.
func (c *Checkpoint) decodeFrame(dst, frame []byte, o *format.Object, want format.Chunk) ([]byte, error) {
	key, err := c.job.store.keyring.frames(o)
	if err != nil {
		return nil, err
	}
	return format.DecodeFrame(dst, frame, want, key)
}

// epochKey is what a new epoch of the job seals with: a new key, or what HEAD has if the taker goes on with that; nil if the store was opened without a keeper.
func (j *Job) epochKey(ctx context.Context, h *format.Head, goOn bool) (*format.DataKey, error) {
	k := j.store.keyring
	switch {
	case k.keeper == nil:
		return nil, j.refusePlain(h)
	case goOn && h.GetKey() != nil:
		return k.open(ctx, h.Key)
	}
	return k.create(ctx)
}

// refusePlain: a job that is encrypted stays so. Somebody who forgot the key must not put its state there for everybody to read.
func (j *Job) refusePlain(h *format.Head) error {
	if h.GetKey() == nil {
		return nil
	}
	return &Error{Kind: ErrCredentials, Op: "save", Job: j.name, Err: fmt.Errorf("the job is encrypted (keeper %q), and this store was opened without a key", h.Key.Keeper),
		Hint: "open the store with its key: Options.Keeper, or --key-url; to save in the clear take another job name"}
}

// givenKey is the key that a coordinator or HEAD names to a worker.
func (j *Job) givenKey(ctx context.Context, w *format.WrappedKey) (*format.DataKey, error) {
	if w != nil {
		return j.store.keyring.open(ctx, w)
	}
	if j.store.keyring.keeper != nil {
		return nil, &Error{Kind: ErrInvalid, Op: "join", Job: j.name, Err: errors.New("the coordinator saves in the clear, and this worker was opened with a key"),
			Hint: "open the stores of the coordinator and of its workers with the same key"}
	}
	return nil, nil
}

func wrappedKey(key *format.DataKey) *format.WrappedKey {
	if key == nil {
		return nil
	}
	return key.Wrapped()
}

// sealedWith reports whether an object is what a save with this key makes.
func sealedWith(o *format.Object, key *format.DataKey) bool {
	if key == nil {
		return len(o.DataKey) == 0
	}
	id := key.ID()
	return slices.Equal(o.DataKey, id[:])
}

// inTheClear reports whether anything of a checkpoint is not encrypted.
func inTheClear(m *format.Manifest) bool {
	return slices.ContainsFunc(m.Objects, func(o *format.Object) bool { return len(o.DataKey) == 0 })
}

// refers are the objects that the checkpoint needs beside its manifest. It takes no key.
func (c *Checkpoint) refers(ctx context.Context) ([]format.Nonce, error) {
	if m, ok := c.job.store.manifests.Get(format.Hash(c.retained.ManifestHash)); ok && m.Job == c.job.name {
		return needed(m.Manifest), nil
	}
	own := *c
	if m, err := format.DecodeManifest(c.body, nil, format.NewPartList(nil)); err != nil || m.Job != c.job.name {
		// HEAD does not name its job. One that is another's would make everything of this one garbage: only an object below this job's own prefix is believed.
		own.body = nil
	}
	loan := c.job.store.buffers.loan()
	defer loan.end()
	b, err := own.manifestBytes(ctx, loan)
	if err != nil {
		return nil, err
	}
	nonces, err := format.ManifestRefers(b)
	if err != nil {
		return nil, c.corrupt("", c.manifestKey(), err)
	}
	return nonces, nil
}

// needed is what refers reads without the key.
func needed(m *format.Manifest) []format.Nonce {
	var nonces []format.Nonce
	for _, o := range m.Objects {
		switch {
		case !o.Embedded:
			nonces = append(nonces, format.Nonce(o.Nonce))
		case len(o.ManifestNonce) > 0:
			nonces = append(nonces, format.Nonce(o.ManifestNonce))
		}
	}
	return nonces
}
