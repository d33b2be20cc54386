package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	for name, g := range goldens { // what is made once, on first use, is no decoder's doing
		if b, err := os.ReadFile(goldenPath(name)); err == nil {
			_ = g.read(b)
		}
	}
	_, _ = EncodeTable(new(Table))
	goleak.VerifyTestMain(m)
}

// nonce makes nonces that a hex dump tells apart.
func nonce(b byte) []byte { return bytes.Repeat([]byte{b}, NonceSize) }

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// raw encodes m without any of the checks, as a hostile writer would.
func raw(t testing.TB, m proto.Message) []byte {
	t.Helper()
	return must(proto.MarshalOptions{Deterministic: true}.Marshal(m))(t)
}

// wantOne asserts that err is of exactly one kind, and says something.
func wantOne(t testing.TB, err, kind error, says string) {
	t.Helper()
	for _, k := range []error{ErrForeign, ErrNewer, ErrCorrupt, ErrSealed, ErrInvalid} {
		if errors.Is(err, k) != errors.Is(kind, k) {
			t.Errorf("got %v, want %q and nothing else", err, kind)
			return
		}
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want it to say %q", err, says)
	}
}

// seal makes an envelope without any of the checks.
func seal(k Kind, body, tail []byte) []byte {
	b, err := envelope(k, body, tail, nil, nil)
	if err != nil {
		panic(err)
	}
	return b
}

// frame makes a frame from its pieces, whatever compressor this machine has.
func frame(c Codec, content, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{byte(c), 0, 0, 0}, uint32(len(content)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, UpdateCRC32C(CRC32C(b), payload))
	return append(b, payload...)
}

func plain(content []byte) []byte { return frame(CodecNone, content, content) }

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// checkAllocated asserts the bound that the package promises, with room for an error's text.
func checkAllocated(t testing.TB, n int, f func()) {
	t.Helper()
	const errorText = 64 << 10
	if got, limit := allocated(f), uint64(maxGrowth*n+growthSlack+errorText); got > limit {
		t.Errorf("allocated %d bytes for %d, at most %d are allowed", got, n, limit)
	}
}
