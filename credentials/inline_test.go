package credentials

import (
	"os/exec"
	"strings"
	"testing"
)

// A call costs as much again as the load that a hot Get is, so the compiler has to inline it.
func TestGetIsInlined(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the compiler; without -short")
	}
	said, err := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-m", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if !strings.Contains(string(said), "can inline (*Cache).Get\n") {
		t.Error("the compiler does not inline Cache.Get: see go build -gcflags=-m=2")
	}
}
