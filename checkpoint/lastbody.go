package checkpoint

import (
	"bytes"

	"github.com/tidemark-go/tidemark/internal/format"
)

// HEAD carries the newest manifest along if it is small, with the pack of a small checkpoint in it: so what is asked for most, the latest checkpoint, is
// one GET. DecodeHead has held it against the hash that HEAD has of it.

// checkpoint is the checkpoint r of h.
func (j *Job) checkpoint(h *format.Head, r *format.Retained) *Checkpoint {
	c := &Checkpoint{job: j, retained: r, info: j.info(h, r)}
	if bytes.Equal(r.ManifestNonce, h.LastManifest) {
		c.body = h.LastBody
	}
	return c
}

// setLast makes r the newest checkpoint of h; body is its manifest object.
func setLast(h *format.Head, r *format.Retained, body []byte) {
	h.Last, h.LastManifest, h.LastBody = r.Id, r.ManifestNonce, nil
	if len(body) <= format.MaxLastBody {
		h.LastBody = body
	}
	h.Retained = append(h.Retained, r)
}

// packInBody is the pack that lies in the manifest that HEAD carried along; nil if o is not that one.
func (c *Checkpoint) packInBody(o *format.Object) []byte {
	if len(c.body) == 0 || !o.Embedded || (len(o.ManifestNonce) > 0 && !bytes.Equal(o.ManifestNonce, c.retained.ManifestNonce)) {
		return nil
	}
	_, off := c.locate(o)
	if off < 0 || uint64(off)+o.Size > uint64(len(c.body)) {
		return nil
	}
	return c.body[off:][:o.Size]
}
