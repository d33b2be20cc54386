package emulator

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The storage client imports OpenCensus, which starts this goroutine when it is loaded and has no way to end it.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}
