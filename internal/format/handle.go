package format

import (
	"errors"
	"fmt"
)

// EncodeHandle makes a handle for its way to the coordinator, sealed if s is given.
func EncodeHandle(h *Handle, s *Sealing) ([]byte, error) {
	if err := checkHandle(h, s.message()); err != nil {
		return nil, fmt.Errorf("encode handle: %w: %w", ErrInvalid, err)
	}
	body, err := marshal(nil, h, handleShape())
	if err != nil {
		return nil, fmt.Errorf("encode handle: %w: %w", ErrInvalid, err)
	}
	b, err := envelope(KindHandle, body, nil, s, nil)
	if err != nil {
		return nil, fmt.Errorf("encode handle: %w: %w", ErrInvalid, err)
	}
	if len(b) > MaxHandle {
		return nil, fmt.Errorf("encode handle: %w: %d bytes, more than the %d that a handle may have; save fewer parts", ErrInvalid, len(b), MaxHandle)
	}
	return b, nil
}

// DecodeHandle reads and checks a handle. Whether it belongs to the save at hand (job, id, fence, base) is the caller's to say.
func DecodeHandle(b []byte, keys Keyring) (*Handle, error) {
	o, err := open(KindHandle, b, MaxHandle, keys)
	if err != nil {
		return nil, err
	}
	if len(o.tail) != 0 {
		return nil, fmt.Errorf("%w: handle with %d bytes too many", ErrCorrupt, len(o.tail))
	}
	h := new(Handle)
	if err := unmarshal(o.body, h, handleShape()); err != nil {
		return nil, corrupt("handle", err)
	}
	if err := checkHandle(h, o.sealed); err != nil {
		return nil, corrupt("handle", err)
	}
	return h, nil
}

// checkHandle states what every handle satisfies: it would be a manifest by itself, of packs that its writer named.
func checkHandle(h *Handle, sealed *Sealed) error {
	switch {
	case len(h.Fence) != NonceSize:
		return errors.New("no fence")
	case len(h.Incarnation) != NonceSize:
		return errors.New("no incarnation")
	case h.Base == nil && len(h.BaseManifest) != 0, h.Base != nil && len(h.BaseManifest) != NonceSize:
		return errors.New("it does not name the manifest of its base")
	}
	if err := checkWriter(h.Writer); err != nil {
		return err
	}
	if err := checkStats(h.Stats); err != nil {
		return err
	}
	for i, o := range h.Objects {
		if sameID(o.GetId(), h.Id) && o.GetWriter() != h.Writer {
			return fmt.Errorf("object %d is of writer %q, the handle of %q", i, o.GetWriter(), h.Writer)
		}
	}
	m := &Manifest{Job: h.Job, Id: h.Id, Base: h.Base, Objects: h.Objects, Parts: h.Parts, Metadata: h.Metadata}
	if err := checkManifest(m, nil, sealed); err != nil {
		return err
	}
	return checkParts(m)
}
