package emulator_test

import (
	"encoding/json"
	"reflect"
	"runtime"
	"testing"

	"github.com/tidemark-go/tidemark/emulator"
)

// FuzzParseFaults reads files of faults. What is taken means the same once written and read again.
func FuzzParseFaults(f *testing.F) {
	for _, seed := range []string{
		`[]`, `{}`, `[{}]`, `[null]`, `[{"name":"a","match":{"server":"storage","methods":["POST"],"object":"**/HEAD","nth":2},"then":{"effect":"close","apply":true}}]`,
		`[{"match":{"server":"metadata","path":"**/token","until":"3s"},"then":{"effect":"status","status":503,"retry_after":"1s"}}]`, `[{"match":{"after":"-1s"},"then":{"effect":"status","status":99}}]`,
		`[{"match":{"probability":2},"then":{"effect":"hang","for":"10000000h"}}]`, `[{"match":{"path":"["},"then":{"effect":"status","status":500}}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		faults, err := emulator.ParseFaults(text)
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+1024*len(text)); got > limit {
			t.Errorf("allocated %d bytes for %d", got, len(text))
		}
		if err != nil {
			return
		}
		again, err := json.Marshal(faults)
		if err != nil {
			t.Fatal(err)
		}
		back, err := emulator.ParseFaults(again)
		if err != nil || !reflect.DeepEqual(back, faults) {
			t.Errorf("%s became %+v, then %+v (%v)", text, faults, back, err)
		}
	})
}
