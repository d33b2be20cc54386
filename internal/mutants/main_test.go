package main

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMutantsFollowTheCode: a list that does not fit the code any more proves nothing.
func TestMutantsFollowTheCode(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		if _, _, err := m.mutate(root); err != nil {
			t.Error(err)
		}
	}
}
