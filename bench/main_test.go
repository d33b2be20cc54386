package bench

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Child(append(Savers(), liar())) // the benchmark starts this program again for the store and for contenders
	goleak.VerifyTestMain(m)
}
