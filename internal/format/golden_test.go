package format

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
)

// The golden files are objects of format version 1 as they were once written. They have to be readable for ever; a change of
// what is written needs a new version, and new files beside these.

// frozen is the SHA-256 of each golden file. Nothing here ever changes again: if it has to, it is version 2.
var frozen = map[string]string{
	"assignment":        "462f2e3fb1c809e5f42576930a29f84770714cbe67b59ddaaae6ac17e074cc49",
	"handle":            "4e58afc4a6586bd70904becffb5ba46fa7706c082a1bdef8b071543c1cbbdc0c",
	"handle-sealed":     "c130585306cc650ecbcae5fb34a0e1aa49f69c948966923f5c9b95022f10c6c9",
	"head":              "b5d8ef82a6361db7bd0b4abc1c1aba3b85c3d95b407b3f2076c6322032a4b4cd",
	"head-full":         "2640314cb2352ece7027e5319fbc6942a7ad88e678354013f557583516f6bd6c",
	"manifest-embedded": "0b9100786600a46fb44de3c36835c6a1e198edcc083593bd28324e94723e91c5",
	"manifest-sealed":   "25b9815de098c4260e612fb7639ac49d13ff9c0c54b784bac5733ba3ed55089d",
	"manifest-stored":   "16e156a27a45e97755d230b85d399f7994015037702080dc80f64d2bce1f1945",
	"pack":              "afa91151815f49c16c6872becb1be2c9a3816deed889efa1ec304d3187a072c9",
	"pack-delta":        "9905c2665fe83cc9ae571645ec01d410aad0afda369b12922a986d6c6575cd71",
	"pack-sealed":       "e023c9449bbb0fc17e457f8d77dbbda6e8a814be6d48fff1531ec9afe1153e16",
}

// goldens are the golden files, and how their bytes are read and found damaged: a reader's error, or nil.
var goldens = map[string]struct {
	write func(testing.TB) []byte
	read  func([]byte) error
}{
	"assignment": {
		func(t testing.TB) []byte { return must(EncodeAssignment(goldenAssignment()))(t) },
		func(b []byte) error { _, err := DecodeAssignment(b); return err },
	},
	"handle": {
		func(t testing.TB) []byte { return must(EncodeHandle(goldenHandle(), nil))(t) },
		func(b []byte) error { _, err := DecodeHandle(b, nil); return err },
	},
	"handle-sealed": {
		func(t testing.TB) []byte {
			return must(EncodeHandle(goldenHandle(), &Sealing{Key: goldenKey(), Nonce: Nonce(nonce(0x1c))}))(t)
		},
		func(b []byte) error { _, err := DecodeHandle(b, goldenRing()); return err },
	},
	"head": {
		func(t testing.TB) []byte { return must(EncodeHead(goldenHead()))(t) },
		func(b []byte) error { _, err := DecodeHead(b); return err },
	},
	"head-full": {
		func(t testing.TB) []byte { return must(EncodeHead(goldenFullHead(t)))(t) },
		func(b []byte) error { _, err := DecodeHead(b); return err },
	},
	"manifest-embedded": {
		func(t testing.TB) []byte { m, pack := goldenEmbedded(t); return must(encodeWhole(m, pack, nil))(t) },
		func(b []byte) error { _, err := decodeWhole(b, nil); return err },
	},
	"manifest-sealed": {
		func(t testing.TB) []byte {
			m, pack := goldenSealed(t)
			return must(encodeWhole(m, pack, goldenSealing()))(t)
		},
		func(b []byte) error { _, err := decodeWhole(b, goldenRing()); return err },
	},
	"manifest-stored": {
		func(t testing.TB) []byte { return must(encodeWhole(goldenStored(t), nil, nil))(t) },
		func(b []byte) error { _, err := decodeWhole(b, nil); return err },
	},
	"pack": {
		func(t testing.TB) []byte { pack, _, _ := goldenPack(t, nil); return pack },
		func(b []byte) error { return readPack(b, nil) },
	},
	"pack-delta": {
		func(t testing.TB) []byte { pack, _, _ := goldenDelta(t); return pack },
		func(b []byte) error { return readPack(b, nil) },
	},
	"pack-sealed": {
		func(t testing.TB) []byte { pack, _, _ := goldenPack(t, goldenKey()); return pack },
		func(b []byte) error { return readPack(b, goldenRing()) },
	},
}

// readPack reads a pack to its last byte.
func readPack(b []byte, keys Keyring) error {
	x, key, err := DecodePack(b, keys)
	if err != nil {
		return err
	}
	for _, e := range x.Entries {
		if _, err := DecodeFrame(nil, b[e.Offset:][:e.Stored], entryChunk(e), key); err != nil {
			return err
		}
	}
	return nil
}

func entryChunk(e *PackEntry) Chunk {
	return Chunk{Offset: e.Offset, Stored: e.Stored, Raw: e.Raw, Hash: Hash(e.Hash)}
}

func goldenPath(name string) string { return filepath.Join("testdata", "golden", "v1", name) }

func golden(t testing.TB, name string) []byte {
	t.Helper()
	return must(os.ReadFile(goldenPath(name)))(t)
}

func TestGoldenBytes(t *testing.T) {
	for name, g := range goldens {
		t.Run(name, func(t *testing.T) {
			got := g.write(t)
			if *update {
				if err := os.MkdirAll(filepath.Dir(goldenPath(name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(goldenPath(name), got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := golden(t, name)
			if !bytes.Equal(got, want) {
				t.Errorf("the encoding has changed:\n got %x\nwant %x", got, want)
			}
			if err := g.read(want); err != nil {
				t.Error(err)
			}
			if sum := sha256.Sum256(want); hex.EncodeToString(sum[:]) != frozen[name] {
				t.Errorf("the golden file is not the one that version 1 was frozen with: %q: \"%x\",", name, sum)
			}
		})
	}
	for _, e := range must(os.ReadDir(goldenPath("")))(t) {
		if _, ok := goldens[e.Name()]; !ok {
			t.Errorf("nothing reads the golden file %s", e.Name())
		}
	}
}

func TestGoldenMeaning(t *testing.T) {
	equal := func(got, want proto.Message) {
		t.Helper()
		if !proto.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
	}
	equal(must(DecodeHead(golden(t, "head")))(t), goldenHead())
	equal(must(DecodeHead(golden(t, "head-full")))(t), goldenFullHead(t))
	equal(must(DecodeAssignment(golden(t, "assignment")))(t), goldenAssignment())
	equal(must(DecodeHandle(golden(t, "handle"), nil))(t), goldenHandle())
	equal(must(DecodeHandle(golden(t, "handle-sealed"), goldenRing()))(t), goldenHandle())
	equal(must(decodeWhole(golden(t, "manifest-stored"), nil))(t), goldenStored(t))
	embedded, _ := goldenEmbedded(t)
	equal(must(decodeWhole(golden(t, "manifest-embedded"), nil))(t), embedded)
	sealed, _ := goldenSealed(t)
	equal(must(decodeWhole(golden(t, "manifest-sealed"), goldenRing()))(t), sealed)
}

// TestGoldenContent goes the way of a reader, from a manifest to the bytes of a part, as docs/format.md describes it.
func TestGoldenContent(t *testing.T) {
	want := append(bytes.Clone(textContent), longContent...)

	for name, keys := range map[string]Keyring{"manifest-embedded": nil, "manifest-sealed": goldenRing()} {
		b := golden(t, name)
		m := must(decodeWhole(b, keys))(t)
		key, at := ObjectKey(m.Job, m.Objects[0], m.Id, nonce(1), uint64(len(b)))
		if key != ManifestKey("orders", m.Id, nonce(1)) {
			t.Errorf("the embedded pack is in %s", key)
		}
		pack := b[at : uint64(at)+m.Objects[0].Size]
		if got := resolve(t, m.Parts[0].Segments[0].GetInline(), m.Objects, [][]byte{pack}, keys); !bytes.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}

	m, packs := must(decodeWhole(golden(t, "manifest-stored"), nil))(t), [][]byte{golden(t, "pack"), golden(t, "pack-delta")}
	s := m.Parts[inDB].Segments[0]
	content := func(l *Location) []byte {
		return must(DecodeFrame(nil, packs[l.Object][l.Offset:][:l.Stored], l.Chunk(), nil))(t)
	}
	table := must(SegmentTable(s, m.Objects, SegmentLength(m.Parts[inDB], 0), content(s.GetStored()), content(s.Delta)))(t)
	if got := resolve(t, table, m.Objects, packs, nil); !bytes.Equal(got, changedContent()) {
		t.Errorf("stored: %q", got)
	}
	if got := NewPageHasher([PageKeySize]byte(table.PageKey)).Sum(changedContent()); got != table.Page(0) {
		t.Errorf("the page hashes to %x, its table says %x", got, table.Page(0))
	}
	if got := resolve(t, m.Parts[inSparse].Segments[0].GetInline(), m.Objects, nil, nil); !bytes.Equal(got, make([]byte, 1<<20)) {
		t.Errorf("sparse: %d bytes", len(got))
	}
}

// resolve returns the bytes of a segment whose table's packs are at hand.
func resolve(t testing.TB, table *Table, objects []*Object, packs [][]byte, keys Keyring) (out []byte) {
	t.Helper()
	for i := range table.ExtentChunk {
		e := table.Extent(i)
		if e.Chunk == Zeros {
			out = append(out, make([]byte, e.Length)...)
			continue
		}
		c := table.Chunk(int(e.Chunk))
		content := must(DecodeFrame(nil, packs[c.Pack][c.Offset:][:c.Stored], c, must(keys.FrameKey(objects[c.Pack]))(t)))(t)
		out = append(out, content[e.Start:][:e.Length]...)
	}
	return out
}

func TestEveryDamagedByteIsFound(t *testing.T) {
	for name, g := range goldens {
		t.Run(name, func(t *testing.T) {
			b := golden(t, name)
			for i := range b {
				for bit := range 8 {
					b[i] ^= 1 << bit
					if err := g.read(b); err == nil {
						t.Errorf("bit %d of byte %d flipped, and nothing is said", bit, i)
					}
					b[i] ^= 1 << bit
				}
			}
			for n := range b {
				if err := g.read(b[:n]); err == nil {
					t.Errorf("cut to %d of %d bytes, and nothing is said", n, len(b))
				}
			}
			for _, extra := range []byte{0, 0xff, 'T'} {
				if err := g.read(append(bytes.Clone(b), extra)); err == nil {
					t.Errorf("a byte %#x too many, and nothing is said", extra)
				}
			}
			if err := g.read(b); err != nil {
				t.Errorf("the untouched object: %v", err)
			}
		})
	}
}
