package checkpoint

import "context"

// Space is what a checkpoint keeps in the store.
type Space struct {
	Packs int64
	Bytes int64 // of the packs; of a manifest of another checkpoint that one lies in, all of it
	Dead  int64 // of Bytes, what this checkpoint does not need: about, as it follows from the manifest alone
}

// Space tells what a checkpoint keeps in the store, beside its manifest. Checkpoints share packs, so the sum over several is more than they keep together.
func (c *Checkpoint) Space(ctx context.Context) (Space, error) {
	m, err := c.manifest(ctx)
	if err != nil {
		return Space{}, err
	}
	var s Space
	for i, u := range survey(m, c.retained.ManifestSize) {
		if o := m.Objects[i]; o.Embedded && len(o.ManifestNonce) == 0 {
			u.held = o.Size // the manifest is there anyway
		}
		s.Packs++
		s.Bytes += int64(u.held)
		s.Dead += int64(u.dead())
	}
	return s, nil
}
