package format

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
)

// EncodeHead makes the HEAD object.
func EncodeHead(h *Head) ([]byte, error) {
	if err := checkHead(h); err != nil {
		return nil, fmt.Errorf("encode HEAD: %w: %w", ErrInvalid, err)
	}
	body, err := marshal(nil, h, headShape())
	if err != nil {
		return nil, fmt.Errorf("encode HEAD: %w: %w", ErrInvalid, err)
	}
	if len(body) > MaxHead-headerSize-crcSize {
		return nil, fmt.Errorf("encode HEAD: %w: %d bytes, more than the %d that a HEAD may have; retain fewer checkpoints", ErrInvalid, len(body), MaxHead)
	}
	return envelope(KindHead, body, nil, nil, nil)
}

// DecodeHead reads and checks a HEAD object.
func DecodeHead(b []byte) (*Head, error) {
	h := new(Head)
	if err := decodePlain(KindHead, b, MaxHead, h, headShape()); err != nil {
		return nil, err
	}
	if err := checkHead(h); err != nil {
		return nil, corrupt("HEAD", err)
	}
	return h, nil
}

// checkHead states what every HEAD satisfies.
func checkHead(h *Head) error {
	last := h.Last
	switch {
	case len(h.Nonce) != NonceSize || len(h.Fence) != NonceSize:
		return errors.New("no nonce or no fence")
	case h.Epoch == 0 || h.Epoch > maxNumber:
		return fmt.Errorf("epoch %d", h.Epoch)
	case last == nil:
		return errors.New("the last commit is not stated")
	case last.Epoch > h.Epoch || last.Checkpoint > maxNumber || (last.Epoch == 0) != (last.Checkpoint == 0):
		return fmt.Errorf("epoch %d, and its last commit is checkpoint %d of epoch %d", h.Epoch, last.Checkpoint, last.Epoch)
	case last.Checkpoint == 0 && len(h.LastManifest) != 0, last.Checkpoint != 0 && len(h.LastManifest) != NonceSize:
		return errors.New("it does not name the manifest of its last commit")
	case h.Removed && len(h.Retained)+len(h.Pins) != 0:
		return errors.New("removed, and retains checkpoints")
	}
	if err := checkLabel("owner", h.Owner); err != nil {
		return err
	}
	if err := checkKey(h.Key); err != nil {
		return err
	}
	before := new(CheckpointID)
	for _, r := range h.Retained {
		if err := checkRetained(r, before, last); err != nil {
			return fmt.Errorf("retained checkpoint %d: %w", r.GetId().GetCheckpoint(), err)
		}
		if r.Id.Checkpoint == last.Checkpoint && (r.Id.Epoch != last.Epoch || !bytes.Equal(r.ManifestNonce, h.LastManifest)) {
			return fmt.Errorf("retained checkpoint %d: not the last commit of this number", last.Checkpoint)
		}
		before = r.Id
	}
	if err := checkLastBody(h); err != nil {
		return err
	}
	return checkPins(h)
}

// checkRetained checks an entry that comes after before, and up to last.
func checkRetained(r *Retained, before, last *CheckpointID) error {
	id := r.GetId()
	switch {
	case id.GetCheckpoint() <= before.Checkpoint || id.GetCheckpoint() > last.Checkpoint:
		return fmt.Errorf("out of order, after %d and up to %d", before.Checkpoint, last.Checkpoint)
	case id.GetEpoch() == 0 || id.GetEpoch() < before.Epoch || id.GetEpoch() > last.Epoch:
		return fmt.Errorf("epoch %d out of order, after %d and up to %d", id.GetEpoch(), before.Epoch, last.Epoch)
	case len(r.ManifestNonce) != NonceSize || len(r.ManifestHash) != HashSize:
		return errors.New("its manifest is not named")
	case r.ManifestSize < minManifest || r.ManifestSize > MaxManifest:
		return fmt.Errorf("a manifest of %d bytes", r.ManifestSize)
	}
	return checkStats(r.Stats)
}

// checkStats keeps figures in the range of the signed numbers that programs count with.
func checkStats(s *Stats) error {
	if s == nil {
		return errors.New("no figures")
	}
	if max(s.Parts, s.Bytes, s.NewBytes, s.StoredBytes, s.Puts, s.Gets, s.Lists, s.Deletes, s.Heads, s.Retries, s.Throttled, s.ReadBytes, s.TokenFetches, s.MovedBytes) > math.MaxInt64 {
		return errors.New("figures out of range")
	}
	return nil
}

func checkPins(h *Head) error {
	tags, leases := make(map[string]bool), make(map[Nonce]bool)
	for _, p := range h.Pins {
		if _, ok := slices.BinarySearchFunc(h.Retained, p.Checkpoint, compareCheckpoint); !ok {
			return fmt.Errorf("pin of checkpoint %d, which is not retained", p.Checkpoint)
		}
		if err := checkLabel("pin", p.Name); err != nil {
			return err
		}
		switch p.Kind {
		case Pin_TAG:
			if p.Name == "" || tags[p.Name] || p.ExpiresAtNs != 0 || len(p.Nonce) != 0 {
				return fmt.Errorf("tag %q is there twice, or no tag", p.Name)
			}
			tags[p.Name] = true
		case Pin_LEASE:
			if len(p.Nonce) != NonceSize || leases[Nonce(p.Nonce)] || p.ExpiresAtNs <= 0 {
				return fmt.Errorf("lease of %q is there twice, or lacks nonce or expiry", p.Name)
			}
			leases[Nonce(p.Nonce)] = true
		default:
			return fmt.Errorf("pin of kind %d", p.Kind)
		}
	}
	return nil
}

func compareCheckpoint(r *Retained, checkpoint uint64) int {
	switch c := r.Id.Checkpoint; {
	case c < checkpoint:
		return -1
	case c > checkpoint:
		return 1
	}
	return 0
}

// checkLastBody holds the manifest that HEAD carries along against its entry.
func checkLastBody(h *Head) error {
	if len(h.LastBody) == 0 {
		return nil
	}
	n := len(h.Retained)
	if n == 0 || !sameID(h.Retained[n-1].Id, h.Last) {
		return errors.New("the manifest of a checkpoint that is not retained")
	}
	r := h.Retained[n-1]
	if len(h.LastBody) > MaxLastBody || uint64(len(h.LastBody)) != r.ManifestSize {
		return fmt.Errorf("the last manifest with %d bytes, where %d are stored", len(h.LastBody), r.ManifestSize)
	}
	if sum := Sum(h.LastBody); !bytes.Equal(sum[:], r.ManifestHash) {
		return errors.New("the last manifest is not the one that is stored")
	}
	return nil
}
