package bucketstore

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The storage client's metrics library starts one for the life of the process, on import.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}
