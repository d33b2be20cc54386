package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// epochLeap is how far a new HEAD's epoch lies above every epoch that is seen in a name. An owner that uploaded nothing has left no name, so the lost HEAD may have been
// ahead of the names; what is saved from now on must lie beyond its epoch too, or somebody who still goes by that HEAD would take it for garbage. Nobody acquires a
// job so often without saving.
const epochLeap = 1_000_000

// newHead replaces a HEAD that is lost or damaged. mended is what the damaged one was if only a bit of it is wrong.
func (r *repairer) newHead(ctx context.Context, mended *format.Head, version objstore.Version) error {
	s, err := r.survey(ctx)
	if err != nil {
		return err
	}
	if len(s.objects) == 0 && mended == nil && version == objstore.Absent {
		return r.job.noSuchJob("repair")
	}
	h := mended
	if mended != nil && s.vouches(r.job.name, mended) {
		r.report.Mended = true
		s.keep(mended)
	} else if h, err = r.rebuild(s); err != nil {
		r.tell(s, new(format.Head))
		return err
	}
	h.Epoch = max(h.Epoch, s.epoch) + epochLeap
	if !r.report.Mended {
		h.Last.Epoch = h.Epoch
	}
	h.Fence, h.Owner = newNonce(), "repaired by "+defaultOwner()
	r.tell(s, h)
	if !r.report.Mended {
		r.lost("head", 0, format.HeadKey(r.job.name), "tags, readers' leases, and which checkpoints were retired or never committed: only HEAD knew. Those that are whole are kept")
	}
	h.Nonce, h.WrittenAtNs = newNonce(), time.Now().UnixNano()
	body, err := format.EncodeHead(h)
	if err != nil {
		return err
	}
	r.report.Epoch = h.Epoch
	if r.opts.DryRun {
		return nil
	}
	if err := r.write(ctx, h.Nonce, body, version); err != nil {
		r.report.Epoch = 0
		return err
	}
	r.job.store.opts.Logger.WarnContext(ctx, "HEAD was repaired", "job", r.job.name, "was", r.report.Head, "epoch", h.Epoch, "checkpoints", len(h.Retained))
	return nil
}

// vouches reports whether the names and manifests confirm what a mended HEAD says.
func (s *remains) vouches(job string, h *format.Head) bool {
	if s.epoch > h.Epoch+1 { // a one-shot save is one ahead; nobody is two
		return false
	}
	for _, r := range h.Retained {
		key := format.ManifestKey(job, r.Id, r.ManifestNonce)
		if !slices.ContainsFunc(s.found, func(f *found) bool { return f.key == key && bytes.Equal(f.retained.ManifestHash, r.ManifestHash) }) {
			return false
		}
	}
	return true
}

// keep marks what a mended HEAD retains.
func (s *remains) keep(h *format.Head) {
	for _, f := range s.found {
		i := findRetained(h, f.id().Checkpoint)
		if f.kept = i >= 0 && bytes.Equal(h.Retained[i].ManifestNonce, f.retained.ManifestNonce); !f.kept {
			f.why = "not in HEAD: retired, or never committed"
		}
	}
}

// rebuild makes a HEAD of the manifests alone. Its last commit is one of the repair's own, which is not retained: so that no number comes twice, and that the next save is compared with nothing. What it
// would refer to otherwise may have been retired, or never committed, in the lost HEAD, and be deleted by somebody who still goes by that.
func (r *repairer) rebuild(s *remains) (*format.Head, error) {
	undone := func(err error, hint string) error {
		return &Error{Kind: ErrCorrupt, Op: "repair", Job: r.job.name, Object: format.HeadKey(r.job.name), Err: err, Hint: "nothing was changed" + hint}
	}
	kept, err := s.choose(r.opts.Without)
	if err != nil {
		return nil, undone(err, "; leave out those that were never acknowledged (--without)")
	}
	if len(kept) == 0 {
		return nil, undone(fmt.Errorf("HEAD is %s, and none of %d manifests is whole with all its packs", r.report.Head, len(s.named)), "")
	}
	h := &format.Head{Last: &format.CheckpointID{Checkpoint: s.checkpoint + 1}, LastManifest: newNonce(), Key: kept[len(kept)-1].sealing}
	for _, f := range kept {
		h.Retained = append(h.Retained, f.retained)
	}
	return h, nil
}

// tell reports what was found, newest first.
func (r *repairer) tell(s *remains, h *format.Head) {
	for _, f := range s.found {
		r.report.Found = append(r.report.Found, Found{Info: r.job.info(h, f.retained), Object: f.key, Committed: f.proven || (f.kept && r.report.Mended), Kept: f.kept, Why: f.why})
	}
	slices.SortFunc(r.report.Found, func(a, b Found) int {
		if a.Info.Checkpoint != b.Info.Checkpoint {
			return -compare(a.Info.Checkpoint, b.Info.Checkpoint)
		}
		return -compare(a.Info.Epoch, b.Info.Epoch)
	})
}

// write swaps the new HEAD in for the very bytes that were found damaged, or for none. Unlike other changes of HEAD it is never made anew on another one: whoever
// wrote that one has a HEAD that can be read.
func (r *repairer) write(ctx context.Context, nonce, body []byte, at objstore.Version) error {
	j := r.job
	key := format.HeadKey(j.name)
	retries := backoff{limit: j.store.opts.RetryFor}
	for sent := false; ; sent = true {
		if err := j.store.pace(ctx, j.name); err != nil {
			return err
		}
		_, err := j.swapHead(ctx, key, body, at)
		if err == nil || (!objstore.Unknown(err) && !sent) {
			return err
		}
		now, version, lookErr := r.look(ctx)
		switch {
		case lookErr != nil:
			return j.inDoubt("repair", fmt.Errorf("%w; then %w", err, lookErr))
		case now != nil && bytes.Equal(now.Nonce, nonce):
			return nil
		case version != at:
			return &Error{Kind: ErrConflict, Op: "repair", Job: j.name, Object: key, Err: errors.New("HEAD was written by somebody else meanwhile"), Hint: "look with `tidemark ls`, then repair again if need be"}
		}
		if waitErr := retries.wait(ctx, err); waitErr != nil {
			return j.inDoubt("repair", waitErr)
		}
	}
}

// look reads a HEAD that may still be the damaged one.
func (r *repairer) look(ctx context.Context) (*format.Head, objstore.Version, error) {
	ctx, cancel := withGrace(ctx, commitGrace)
	defer cancel()
	b, version, err := r.job.store.objects.Get(ctx, format.HeadKey(r.job.name), format.MaxHead)
	if objstore.KindOf(err) == objstore.KindNotFound {
		return nil, objstore.Absent, nil
	}
	if err != nil {
		return nil, objstore.Absent, err
	}
	h, _ := format.DecodeHead(b) // the damaged one does not, which its version tells
	return h, version, nil
}
