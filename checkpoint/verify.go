package checkpoint

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// VerifyOptions tune Verify.
type VerifyOptions struct {
	Checkpoint string // a reference as of Find; empty: every retained checkpoint
	Data       bool   // read every byte and check every hash
	Progress   *Progress
}

// VerifyReport says what Verify found.
type VerifyReport struct {
	CheckedObjects, CheckedBytes int64
	Checkpoints                  int
	Problems                     []Problem
	Requests                     Requests
}

// OK reports whether nothing was wrong.
func (r VerifyReport) OK() bool { return len(r.Problems) == 0 }

// Problem is one finding of Verify, or of Repair. What is wrong with an object is reported once for each checkpoint that needs it; with Data, what is wrong with
// bytes of it, once for each part that needs some of them. So an object with a problem and no part named in it is damaged where nobody needs it.
type Problem struct {
	Kind       string // "head", "manifest", "missing", "size", "crc32c", "table", "chunk"
	Checkpoint uint64
	Part       string
	Object     string
	Detail     string
}

// Repairable reports whether Job.Repair may help: it is about HEAD, or the checkpoint's manifest.
func (p Problem) Repairable() bool {
	if p.Kind != "missing" {
		return p.Kind == "head" || p.Kind == "manifest"
	}
	job, _, _ := strings.Cut(p.Object, "/")
	n, ok := format.ParseKey(job, p.Object)
	return ok && n.Manifest && n.Checkpoint == p.Checkpoint
}

// Verify checks that everything that the job's HEAD needs is there with the right size and CRC32C, at the price of a listing and the manifests; with Data it reads
// every byte and checks every hash. Damage is in the report; the error is for what kept Verify from looking.
func (j *Job) Verify(ctx context.Context, opts *VerifyOptions) (VerifyReport, error) {
	var o VerifyOptions
	if opts != nil {
		o = *opts
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	ctx, meter := metered(ctx)
	v := &verifier{
		job: j, progress: o.Progress, expected: map[string]expectation{}, broken: map[string]Problem{}, packs: map[format.Nonce]uint32{},
		seen: map[chunkAt]struct{}{}, bad: map[chunkAt]string{},
	}
	err := v.run(ctx, o)
	v.report.Requests = requestsOf(meter)
	return v.report, wrap(err, "verify", j.name, 0)
}

type verifier struct {
	mu       sync.Mutex // of what several streams report at once
	job      *Job
	progress *Progress
	report   VerifyReport
	expected map[string]expectation
	broken   map[string]Problem // objects, by key
	packs    map[format.Nonce]uint32
	seen     map[chunkAt]struct{} // checked already for another part or checkpoint
	bad      map[chunkAt]string   // what is wrong with some of them
	newest   uint64               // epoch of any name
}

// expectation is what the manifests say of an object.
type expectation struct {
	size   uint64
	crc32c uint32
}

// chunkAt is a chunk as a table describes it, across checkpoints. A verification keeps one for each, so it has what tells two descriptions of one place apart, and
// not the whole hash.
type chunkAt struct {
	offset, hash      uint64
	pack, stored, raw uint32 // pack counts in the order in which they were met
}

// at is the chunk of a pack as a key.
func (v *verifier) at(o *format.Object, c format.Chunk) chunkAt {
	pack := format.Nonce(o.Nonce)
	n, ok := v.packs[pack]
	if !ok {
		n = uint32(len(v.packs))
		v.packs[pack] = n
	}
	return chunkAt{offset: c.Offset, hash: binary.LittleEndian.Uint64(c.Hash[:]), pack: n, stored: c.Stored, raw: c.Raw}
}

// first reports whether nobody has asked for this chunk before.
func (v *verifier) first(at chunkAt) bool {
	if _, ok := v.seen[at]; ok {
		return false
	}
	v.seen[at] = struct{}{}
	return true
}

func (v *verifier) problem(p Problem) { v.report.Problems = append(v.report.Problems, p) }

func (v *verifier) run(ctx context.Context, o VerifyOptions) error {
	at, err := v.job.readHead(ctx)
	if errors.Is(err, ErrCorrupt) {
		v.problem(Problem{Kind: "head", Object: format.HeadKey(v.job.name), Detail: err.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	if at.head == nil || at.head.Removed {
		return v.job.noSuchJob("verify")
	}
	retained := at.head.Retained
	if o.Checkpoint != "" {
		r, err := v.job.resolve(at.head, o.Checkpoint)
		if err != nil {
			return err
		}
		retained = []*format.Retained{r}
	}
	if err := v.look(ctx, at.head, retained, o.Data); err != nil {
		return err
	}
	return v.settle(ctx, at.head)
}

// look checks the checkpoints of a HEAD.
func (v *verifier) look(ctx context.Context, h *format.Head, retained []*format.Retained, data bool) error {
	checkpoints, err := v.manifests(ctx, h, retained)
	if err != nil {
		return err
	}
	if err := v.objects(ctx, checkpoints); err != nil {
		return err
	}
	if !data {
		return nil
	}
	for _, c := range checkpoints {
		if err := v.data(ctx, c); err != nil && !errors.Is(err, ErrRetired) {
			return err
		}
	}
	if len(v.bad) == 0 {
		return nil
	}
	for _, c := range checkpoints {
		if err := v.blame(ctx, c); err != nil && !errors.Is(err, ErrRetired) {
			return err
		}
	}
	return nil
}

// settle drops the problems of checkpoints that were retired since h was read: somebody collected them, and nothing is wrong.
func (v *verifier) settle(ctx context.Context, h *format.Head) error {
	if len(v.report.Problems) == 0 && behind(v.job.name, h, v.newest) == nil {
		return nil
	}
	at, err := v.job.readHead(ctx)
	switch {
	case err != nil:
		return err
	case at.head == nil || at.head.Removed:
		return v.job.noSuchJob("verify")
	}
	v.report.Problems = slices.DeleteFunc(v.report.Problems, func(p Problem) bool { return findRetained(at.head, p.Checkpoint) < 0 })
	if p := behind(v.job.name, at.head, v.newest); p != nil {
		v.problem(*p)
	}
	return nil
}

// loaded is a checkpoint whose manifest is whole.
type loaded struct {
	*Checkpoint
	m format.Contents
}

// manifests reads each manifest from the store, past the cache, and collects what it needs.
func (v *verifier) manifests(ctx context.Context, h *format.Head, retained []*format.Retained) ([]loaded, error) {
	var out []loaded
	for _, r := range retained {
		c := &Checkpoint{job: v.job, retained: r, info: v.job.info(h, r)}
		v.report.Checkpoints++
		m, err := c.storedManifest(ctx)
		switch {
		case objstore.KindOf(err) == objstore.KindNotFound:
			v.problem(Problem{Kind: "missing", Checkpoint: r.Id.Checkpoint, Object: c.manifestKey(), Detail: "the manifest does not exist"})
			continue
		case errors.Is(err, format.ErrNewer):
			return nil, c.corrupt("", c.manifestKey(), err)
		case errors.Is(err, format.ErrCorrupt), errors.Is(err, format.ErrForeign), objstore.KindOf(err) == objstore.KindCorrupt, objstore.KindOf(err) == objstore.KindTooLarge:
			v.problem(Problem{Kind: "manifest", Checkpoint: r.Id.Checkpoint, Object: c.manifestKey(), Detail: err.Error()})
			continue
		case err != nil:
			return nil, err
		}
		v.report.CheckedObjects++
		v.report.CheckedBytes += int64(r.ManifestSize)
		for _, o := range m.Objects {
			v.expect(c, o)
		}
		for _, p := range m.Parts.All() {
			v.progress.Total.Add(int64(p.Size))
		}
		c.pastCache = true
		out = append(out, loaded{c, m})
	}
	return out, nil
}

// storedManifest reads the manifest past the cache.
func (c *Checkpoint) storedManifest(ctx context.Context) (format.Contents, error) {
	loan := c.job.store.buffers.loan()
	defer loan.end()
	b, err := c.readManifest(ctx, loan)
	if err != nil {
		return format.Contents{}, err
	}
	return c.decodeManifest(ctx, b)
}

// expect notes an object that has to exist beside the retained manifests, which are checked whole anyway.
func (v *verifier) expect(c *Checkpoint, o *format.Object) {
	key, _ := c.locate(o)
	e := expectation{size: o.Size, crc32c: o.Crc32C}
	if o.Embedded {
		if len(o.ManifestNonce) == 0 {
			return
		}
		e.size, e.crc32c = o.ManifestSize, o.ManifestCrc32C
	}
	if _, ok := v.expected[key]; !ok {
		v.expected[key] = e
	}
}

// objects holds a listing against what the manifests expect. A store that keeps no checksum has the object read for it.
func (v *verifier) objects(ctx context.Context, checkpoints []loaded) error {
	found := make(map[string]bool, len(v.expected))
	var unsummed []string
	err := v.job.eachObject(ctx, func(i objstore.Info) {
		if n, ok := format.ParseKey(v.job.name, i.Key); ok {
			v.newest = max(v.newest, n.Epoch)
		}
		e, ok := v.expected[i.Key]
		if !ok {
			return
		}
		found[i.Key] = true
		v.report.CheckedObjects++
		switch {
		case uint64(i.Size) != e.size:
			v.broken[i.Key] = Problem{Kind: "size", Detail: fmt.Sprintf("%d bytes, expected %d", i.Size, e.size)}
		case !i.HasCRC32C:
			unsummed = append(unsummed, i.Key)
		default:
			v.checksum(i.Key, i.CRC32C)
		}
	})
	if err != nil {
		return err
	}
	for key := range v.expected {
		if !found[key] {
			v.broken[key] = Problem{Kind: "missing", Detail: "the object does not exist"}
		}
	}
	for _, key := range unsummed {
		if err := v.readChecksum(ctx, key); err != nil {
			return err
		}
	}
	for _, c := range checkpoints {
		for _, o := range c.m.Objects {
			key := c.keyOf(o)
			if p, ok := v.broken[key]; ok {
				p.Checkpoint, p.Object = c.retained.Id.Checkpoint, key
				v.problem(p)
			}
		}
	}
	return nil
}

func (v *verifier) checksum(key string, got uint32) {
	if e := v.expected[key]; got != e.crc32c {
		v.broken[key] = Problem{Kind: "crc32c", Detail: fmt.Sprintf("CRC32C %08x, expected %08x", got, e.crc32c)}
	}
}

func (v *verifier) readChecksum(ctx context.Context, key string) error {
	buf, err := v.job.store.buffers.get(ctx)
	if err != nil {
		return err
	}
	defer v.job.store.buffers.put(buf)
	var crc uint32
	size := v.expected[key].size
	for off := uint64(0); off < size; {
		b := buf[:min(uint64(len(buf)), size-off)]
		err := v.job.store.objects.ReadRange(ctx, key, int64(off), b)
		switch objstore.KindOf(err) {
		case objstore.KindNotFound, objstore.KindCorrupt:
			v.broken[key] = Problem{Kind: "missing", Detail: err.Error()}
			return nil
		}
		if err != nil {
			return err
		}
		crc = format.UpdateCRC32C(crc, b)
		off += uint64(len(b))
		v.report.CheckedBytes += int64(len(b))
	}
	v.checksum(key, crc)
	return nil
}
