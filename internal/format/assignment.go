package format

import (
	"errors"
	"fmt"
)

// maxAssignment is far above what the largest key of a key service makes of one.
const maxAssignment = 64 << 10

// EncodeAssignment makes what a coordinator hands to its workers. It holds no secret.
func EncodeAssignment(a *Assignment) ([]byte, error) {
	if err := checkAssignment(a); err != nil {
		return nil, fmt.Errorf("encode assignment: %w: %w", ErrInvalid, err)
	}
	body, err := marshal(nil, a, assignmentShape())
	if err != nil {
		return nil, fmt.Errorf("encode assignment: %w: %w", ErrInvalid, err)
	}
	return envelope(KindAssignment, body, nil, nil, nil)
}

// DecodeAssignment reads and checks an assignment.
func DecodeAssignment(b []byte) (*Assignment, error) {
	a := new(Assignment)
	if err := decodePlain(KindAssignment, b, maxAssignment, a, assignmentShape()); err != nil {
		return nil, err
	}
	if err := checkAssignment(a); err != nil {
		return nil, corrupt("assignment", err)
	}
	return a, nil
}

// checkAssignment states what every assignment satisfies.
func checkAssignment(a *Assignment) error {
	if err := CheckJobName(a.Job); err != nil {
		return err
	}
	if !isCheckpoint(a.Id) {
		return fmt.Errorf("checkpoint %d of epoch %d", a.GetId().GetCheckpoint(), a.GetId().GetEpoch())
	}
	if len(a.Fence) != NonceSize {
		return errors.New("no fence")
	}
	if a.Base != nil {
		if err := checkRetained(a.Base, new(CheckpointID), a.Id); err != nil {
			return fmt.Errorf("base %d: %w", a.Base.GetId().GetCheckpoint(), err)
		}
		if !olderThan(a.Base.Id, a.Id) {
			return fmt.Errorf("base %d for checkpoint %d", a.Base.Id.Checkpoint, a.Id.Checkpoint)
		}
	}
	return checkKey(a.Key)
}

// checkKey checks a key that may be absent.
func checkKey(k *WrappedKey) error {
	if k == nil {
		return nil
	}
	if err := checkWrapped(k); err != nil {
		return fmt.Errorf("data key %x: %w", k.Id, err)
	}
	return nil
}
