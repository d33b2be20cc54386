package emulator

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Google's metadata package remembers for the whole process whether it is on Google Cloud, by the first answer: "no" if
	// the first test that touches it has no metadata server.
	if err := os.Setenv("GCE_METADATA_HOST", "127.0.0.1:1"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m,
		// The storage client imports OpenCensus, which starts this goroutine when it is loaded and has no way to end it.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}
