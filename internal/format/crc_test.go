package format

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The sum of a pack is put together from those of its frames, and has to be that of its bytes.
func TestSumOfAPack(t *testing.T) {
	for name, key := range map[string]*DataKey{"plain": nil, "sealed": goldenSealing().Key} {
		rng := rand.New(rand.NewPCG(1, 2))
		n := nonce(7)
		p := NewPackBuilder(make([]byte, 0, 4<<20), n, key)
		for i, size := range []int{100_000, 10, 4096, sumsWhole, 262_144, 262_144, 1, sumsWhole - 100, 300_000, 999_999} {
			content := make([]byte, size)
			for j := range content {
				content[j] = byte(rng.Uint64() >> (i * 6)) // some shrinks, some does not
			}
			frame, _ := AppendFrame(nil, content, nil, CodecSnappy)
			p.Add(frame, PackFrame{Kind: PackEntry_CHUNK, Raw: size, Hash: Sum(content), Part: &Part{Name: []byte("p"), Kind: Part_FILE}})
		}
		body, err := p.Finish()
		if err != nil {
			t.Fatal(name, err)
		}
		if len(p.large) < 4 {
			t.Errorf("%s: %d large frames, too few to prove anything", name, len(p.large))
		}
		if got, want := p.Sum(body), CRC32C(body); got != want {
			t.Errorf("%s: sum %08x, of the bytes %08x", name, got, want)
		}
		damaged := slices.Clone(body)
		damaged[len(damaged)-1]++
		if p.Sum(damaged) == p.Sum(body) {
			t.Errorf("%s: what follows the frames does not count", name)
		}
	}
}

func TestShiftedCRC32C(t *testing.T) {
	b := make([]byte, 70_000)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	for _, cut := range []int{0, 1, 7, 4096, 65_536, len(b)} {
		if got := shiftCRC32C(CRC32C(b[:cut]), len(b)-cut) ^ CRC32C(b[cut:]); got != CRC32C(b) {
			t.Errorf("cut at %d: %08x, not %08x", cut, got, CRC32C(b))
		}
	}
}
