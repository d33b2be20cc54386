package checkpoint

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// manifests repairs those that a whole HEAD retains. HEAD has the hash of each, so what is written is what was there, or nothing is. Whatever happens to the job meanwhile, a
// manifest that comes back under its name is live or collectable, as it was before.
func (r *repairer) manifests(ctx context.Context, at headState) error {
	listed, err := r.listed(ctx)
	if err != nil {
		return err
	}
	if err := r.behind(ctx, at.head, listed); err != nil {
		return err
	}
	lost := map[string]Problem{}
	for _, e := range at.head.Retained {
		key := format.ManifestKey(r.job.name, e.Id, e.ManifestNonce)
		if i, ok := listed[key]; ok && i.HasCRC32C && i.CRC32C == e.ManifestCrc32C && uint64(i.Size) == e.ManifestSize {
			continue
		}
		p, err := r.manifest(ctx, at.head, e, key)
		if err != nil {
			return err
		}
		if p != nil {
			lost[key] = *p
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return r.giveUp(ctx, lost)
}

// behind reports a HEAD that names are too far ahead of. It is for somebody to decide whose it is.
func (r *repairer) behind(ctx context.Context, h *format.Head, listed map[string]objstore.Info) error {
	epoch := uint64(0)
	for key := range listed {
		if n, ok := format.ParseKey(r.job.name, key); ok {
			epoch = max(epoch, n.Epoch)
		}
	}
	if behind(r.job.name, h, epoch) == nil {
		return nil
	}
	at, err := r.job.readHead(ctx) // it may have moved on before the names were listed
	if err != nil || at.head == nil {
		return err
	}
	if p := behind(r.job.name, at.head, epoch); p != nil {
		r.report.Lost = append(r.report.Lost, *p)
	}
	return nil
}

// behind tells whether a HEAD, read after an object of this epoch was listed, is too old for it: a one-shot save is one ahead of HEAD, nobody is two.
func behind(job string, h *format.Head, epoch uint64) *Problem {
	if epoch <= h.Epoch+1 {
		return nil
	}
	return &Problem{Kind: "head", Object: format.HeadKey(job),
		Detail: fmt.Sprintf("it is of epoch %d, and there are objects of epoch %d: it is an old one, or another job's. To have a new one made of the manifests, move it away first", h.Epoch, epoch)}
}

func (r *repairer) listed(ctx context.Context) (map[string]objstore.Info, error) {
	listed := map[string]objstore.Info{}
	for i, err := range r.job.store.objects.List(ctx, format.ManifestPrefix(r.job.name)) {
		if err != nil {
			return nil, err
		}
		listed[i.Key] = i
	}
	return listed, nil
}

// manifest looks at one, and mends it if it can; a Problem if it cannot.
func (r *repairer) manifest(ctx context.Context, h *format.Head, e *format.Retained, key string) (*Problem, error) {
	b, version, err := r.job.store.objects.Get(ctx, key, format.MaxManifest)
	detail := "it does not exist"
	switch kind := objstore.KindOf(err); {
	case err == nil && isManifest(b, e):
		return nil, nil
	case err == nil:
		detail = fmt.Sprintf("%d bytes that are not those that HEAD knows", len(b))
	case kind == objstore.KindNotFound:
	case kind == objstore.KindCorrupt, kind == objstore.KindTooLarge: // nothing to replace it by a condition on
		return &Problem{Kind: "manifest", Checkpoint: e.Id.Checkpoint, Object: key, Detail: err.Error()}, nil
	default:
		return nil, err
	}
	body, from := h.LastBody, "head"
	if !isManifest(body, e) {
		i, ok := flippedBit(b, e.ManifestCrc32C)
		if !ok || !isManifest(withBit(b, i), e) {
			return &Problem{Kind: "manifest", Checkpoint: e.Id.Checkpoint, Object: key, Detail: detail}, nil
		}
		body, from = withBit(b, i), "bit"
	}
	r.report.Written = append(r.report.Written, Written{Checkpoint: e.Id.Checkpoint, Object: key, From: from})
	switch {
	case r.opts.DryRun:
		return nil, nil
	case version == objstore.Absent:
		return nil, r.job.store.objects.Create(ctx, key, body)
	}
	return nil, r.replace(ctx, key, body, version)
}

func isManifest(b []byte, e *format.Retained) bool {
	sum := format.Sum(b)
	return bytes.Equal(sum[:], e.ManifestHash)
}

// replace writes over a damaged manifest. Two who do it write the same bytes.
func (r *repairer) replace(ctx context.Context, key string, body []byte, version objstore.Version) error {
	retries := backoff{limit: r.job.store.opts.RetryFor}
	for {
		_, err := r.job.store.objects.Swap(ctx, key, body, version)
		if err == nil || !objstore.Unknown(err) {
			return err
		}
		b, now, lookErr := r.job.store.objects.Get(ctx, key, format.MaxManifest)
		switch {
		case lookErr != nil:
			return lookErr
		case bytes.Equal(b, body):
			return nil
		case now != version:
			return err
		}
		if waitErr := retries.wait(ctx, err); waitErr != nil {
			return waitErr
		}
	}
}

// giveUp reports what is still retained of the checkpoints whose manifests are lost, and retires them if that is wanted.
func (r *repairer) giveUp(ctx context.Context, lost map[string]Problem) error {
	at, err := r.job.readHead(ctx)
	if err != nil {
		return err
	}
	gone := func(e *format.Retained) bool {
		_, ok := lost[format.ManifestKey(r.job.name, e.Id, e.ManifestNonce)]
		return ok
	}
	for _, e := range at.head.GetRetained() {
		if !gone(e) {
			continue
		}
		r.report.Lost = append(r.report.Lost, lost[format.ManifestKey(r.job.name, e.Id, e.ManifestNonce)])
		if r.opts.RetireLost {
			r.report.Retired = append(r.report.Retired, e.Id.Checkpoint)
		}
	}
	if len(r.report.Retired) == 0 || r.opts.DryRun {
		return nil
	}
	_, err = r.job.writeHead(ctx, at, headChange{
		op: "repair",
		apply: func(h *format.Head) error {
			h.Retained = slices.DeleteFunc(h.Retained, gone)
			removePin(h, func(p *format.Pin) bool { return findRetained(h, p.Checkpoint) < 0 })
			return nil
		},
		applied: func(h *format.Head) bool { return !slices.ContainsFunc(h.Retained, gone) },
	})
	return err
}
