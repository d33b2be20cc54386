package format

import (
	"bytes"
	"errors"
	"fmt"
)

// EncodeArchive makes an archive object.
func EncodeArchive(a *Archive) ([]byte, error) {
	if err := checkArchive(a); err != nil {
		return nil, fmt.Errorf("encode archive: %w: %w", ErrInvalid, err)
	}
	body, err := marshal(nil, a, archiveShape())
	if err != nil {
		return nil, fmt.Errorf("encode archive: %w: %w", ErrInvalid, err)
	}
	if len(body) > MaxArchive-headerSize-crcSize {
		return nil, fmt.Errorf("encode archive: %w: %d bytes, more than the %d that an archive may have", ErrInvalid, len(body), MaxArchive)
	}
	return envelope(KindArchive, body, nil, nil, nil)
}

// DecodeArchive reads and checks an archive object. Compare size and hash with HEAD's ArchiveRef before, and ref.Check after.
func DecodeArchive(b []byte) (*Archive, error) {
	a := new(Archive)
	if err := decodePlain(KindArchive, b, MaxArchive, a, archiveShape()); err != nil {
		return nil, err
	}
	if err := checkArchive(a); err != nil {
		return nil, corrupt("archive", err)
	}
	return a, nil
}

// checkArchive states what every archive satisfies.
func checkArchive(a *Archive) error {
	if err := CheckJobName(a.Job); err != nil {
		return err
	}
	if !isCheckpoint(a.Id) {
		return fmt.Errorf("archive of checkpoint %d, epoch %d", a.GetId().GetCheckpoint(), a.GetId().GetEpoch())
	}
	if len(a.Retained) == 0 || len(a.Retained) > MaxArchived {
		return fmt.Errorf("%d checkpoints; 1 to %d are possible", len(a.Retained), MaxArchived)
	}
	before := new(CheckpointID)
	for _, r := range a.Retained {
		if err := checkRetained(r, before, a.Id); err != nil {
			return fmt.Errorf("checkpoint %d: %w", r.GetId().GetCheckpoint(), err)
		}
		before = r.Id
	}
	return nil
}

// Check holds an archive against HEAD's reference to it.
func (r *ArchiveRef) Check(job string, a *Archive) error {
	n := len(a.Retained)
	if a.Job != job || !sameID(a.Id, r.Id) || n != int(r.Count) || !sameID(a.Retained[0].Id, r.First) || !sameID(a.Retained[n-1].Id, r.Last) {
		return fmt.Errorf("%w: the archive is not the one that HEAD names", ErrCorrupt)
	}
	return nil
}

func sameID(a, b *CheckpointID) bool {
	return a.GetEpoch() == b.GetEpoch() && a.GetCheckpoint() == b.GetCheckpoint()
}

// checkArchives checks HEAD's references: ascending, without overlap, all before what is retained.
func checkArchives(h *Head) error {
	before := new(CheckpointID)
	for i, r := range h.Archives {
		first, last := r.GetFirst(), r.GetLast()
		switch {
		case len(r.Nonce) != NonceSize || len(r.Hash) != HashSize || r.Size < headerSize+crcSize || r.Size > MaxArchive:
			return fmt.Errorf("archive %d: it is not named", i)
		case !isCheckpoint(r.Id) || r.Id.Epoch > h.Epoch || !isCheckpoint(first) || !isCheckpoint(last):
			return fmt.Errorf("archive %d: of checkpoint %d, epoch %d", i, r.Id.GetCheckpoint(), r.Id.GetEpoch())
		case first.Checkpoint <= before.Checkpoint || first.Epoch < before.Epoch || last.Epoch < first.Epoch || last.Epoch > r.Id.Epoch || last.Checkpoint > r.Id.Checkpoint:
			return fmt.Errorf("archive %d: out of order", i)
		case r.Count == 0 || r.Count > MaxArchived || last.Checkpoint < first.Checkpoint || uint64(r.Count)-1 > last.Checkpoint-first.Checkpoint,
			(r.Count == 1) != (first.Checkpoint == last.Checkpoint):
			return fmt.Errorf("archive %d: %d checkpoints from %d to %d", i, r.Count, first.Checkpoint, last.Checkpoint)
		}
		before = last
	}
	if len(h.Archives) == 0 {
		return nil
	}
	if len(h.Retained) == 0 {
		return errors.New("archives, and nothing retained")
	}
	if r := h.Retained[0].GetId(); r.GetCheckpoint() <= before.Checkpoint || r.GetEpoch() < before.Epoch {
		return fmt.Errorf("archive up to checkpoint %d, and %d is retained", before.Checkpoint, r.GetCheckpoint())
	}
	return nil
}

// archived reports whether a checkpoint may be in one of HEAD's archives.
func archived(h *Head, checkpoint uint64) bool {
	for _, r := range h.Archives {
		if checkpoint >= r.First.Checkpoint && checkpoint <= r.Last.Checkpoint {
			return true
		}
	}
	return false
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
