package format

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

// EncodeHead makes the HEAD object.
func EncodeHead(h *Head) ([]byte, error) {
	if err := checkHead(h); err != nil {
		return nil, fmt.Errorf("encode HEAD: %w", err)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode HEAD: %w", err)
	}
	return seal(KindHead, body, nil), nil
}

// DecodeHead reads and checks a HEAD object.
func DecodeHead(b []byte) (*Head, error) {
	body, tail, err := unseal(KindHead, b)
	if err != nil {
		return nil, err
	}
	if len(tail) != 0 {
		return nil, fmt.Errorf("%w: HEAD with %d bytes too many", ErrCorrupt, len(tail))
	}
	h := new(Head)
	if err := proto.Unmarshal(body, h); err != nil {
		return nil, fmt.Errorf("%w: HEAD: %w", ErrCorrupt, err)
	}
	if err := checkHead(h); err != nil {
		return nil, err
	}
	return h, nil
}

// checkHead states what every HEAD satisfies.
func checkHead(h *Head) error {
	if len(h.Nonce) != NonceSize || len(h.Fence) != NonceSize || h.Epoch == 0 || h.Epoch > maxNumber {
		return fmt.Errorf("%w: HEAD without nonce, fence or epoch", ErrCorrupt)
	}
	if h.GetLast().GetEpoch() > h.Epoch || h.GetLast().GetCheckpoint() > maxNumber {
		return fmt.Errorf("%w: HEAD of epoch %d whose last commit is of epoch %d", ErrCorrupt, h.Epoch, h.GetLast().GetEpoch())
	}
	if n := len(h.LastManifest); (n != 0 || h.GetLast().GetCheckpoint() != 0) && n != NonceSize {
		return fmt.Errorf("%w: HEAD does not name the manifest of its last commit", ErrCorrupt)
	}
	retained := make(map[uint64]bool, len(h.Retained))
	var before uint64
	for _, r := range h.Retained {
		c := r.GetId().GetCheckpoint()
		if c <= before || c > h.GetLast().GetCheckpoint() || r.GetId().GetEpoch() > h.GetLast().GetEpoch() {
			return fmt.Errorf("%w: HEAD retains checkpoint %d out of order", ErrCorrupt, c)
		}
		if len(r.ManifestNonce) != NonceSize || len(r.ManifestHash) != HashSize || r.ManifestSize > MaxManifest || r.Stats == nil {
			return fmt.Errorf("%w: HEAD does not describe the manifest of checkpoint %d", ErrCorrupt, c)
		}
		before, retained[c] = c, true
	}
	tags := make(map[string]bool)
	for _, p := range h.Pins {
		if !retained[p.Checkpoint] {
			return fmt.Errorf("%w: HEAD pins checkpoint %d, which it does not retain", ErrCorrupt, p.Checkpoint)
		}
		if p.Kind == Pin_TAG {
			if tags[p.Name] {
				return fmt.Errorf("%w: HEAD has tag %q twice", ErrCorrupt, p.Name)
			}
			tags[p.Name] = true
		}
	}
	return nil
}
