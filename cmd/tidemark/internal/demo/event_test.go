package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/tidemark-go/tidemark/checkpoint"
	"github.com/tidemark-go/tidemark/credentials"
)

// What exit codes and hints are made of arrives at the parent.
func TestFailureSurvivesTheWayToTheParent(t *testing.T) {
	travel := func(err error) error {
		b, jsonErr := json.Marshal(event{Kind: eventFailed, Failure: newWorkerError(err)})
		if jsonErr != nil {
			t.Fatal(jsonErr)
		}
		var e event
		if jsonErr := json.Unmarshal(b, &e); jsonErr != nil {
			t.Fatal(jsonErr)
		}
		return e.Failure.asError()
	}
	for _, kind := range kinds {
		sent := fmt.Errorf("restore: %w", &checkpoint.Error{Kind: kind, Op: "find", Hint: "do this"})
		got := travel(sent)
		detail, ok := errors.AsType[*checkpoint.Error](got)
		if !errors.Is(got, kind) || !ok || detail.Hint != "do this" {
			t.Errorf("%v arrived as %v", sent, got)
		}
	}
	refused := fmt.Errorf("acquire: %w", &credentials.Error{Kind: credentials.Refused, Remedy: "grant it"})
	got := travel(refused)
	var c interface{ CredentialsError() string }
	if !errors.As(got, &c) || c.CredentialsError() != "refused" || got.Error() != refused.Error() {
		t.Errorf("%v arrived as %v", refused, got)
	}
	if got := travel(errors.New("plain")); got.Error() != "plain" {
		t.Errorf("arrived as %v", got)
	}
}
