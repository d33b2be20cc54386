package format

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

type manifestRule struct {
	name   string
	change func(m *Manifest)
	says   string
}

// checkManifestRules asserts that neither side takes a manifest that was changed against a rule.
func checkManifestRules(t *testing.T, m func() (*Manifest, []byte), rules []manifestRule) {
	for _, tt := range rules {
		t.Run(tt.name, func(t *testing.T) {
			m, tail := m()
			tt.change(m)
			_, err := encodeWhole(m, tail, nil)
			wantOne(t, err, ErrInvalid, tt.says)
			_, err = decodeWhole(seal(KindManifest, raw(t, m), tail), nil)
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
}

func TestManifestRules(t *testing.T) {
	checkManifestRules(t, func() (*Manifest, []byte) { return goldenStored(t), nil }, []manifestRule{
		{"no job", func(m *Manifest) { m.Job = "" }, "needs a name"},
		{"job that is a path", func(m *Manifest) { m.Job = "a/b" }, "path separator"},
		{"no checkpoint", func(m *Manifest) { m.Id = nil }, "checkpoint 0"},
		{"epoch zero", func(m *Manifest) { m.Id.Epoch = 0 }, "epoch 0"},
		{"checkpoint beyond the keys", func(m *Manifest) { m.Id.Checkpoint = maxNumber + 1 }, "checkpoint 1000000000000"},
		{"base is itself", func(m *Manifest) { m.Base = proto.CloneOf(m.Id) }, "base 9"},
		{"base of a later epoch", func(m *Manifest) { m.Base.Epoch = 3 }, "base 5 of epoch 3"},
		{"empty base", func(m *Manifest) { m.Base = new(CheckpointID) }, "base 0"},
		{"metadata in disorder", func(m *Manifest) { m.Metadata[0], m.Metadata[1] = m.Metadata[1], m.Metadata[0] }, "out of order"},
		{"metadata twice", func(m *Manifest) { m.Metadata[1].Key = "offsets" }, "out of order"},

		{"object without nonce", func(m *Manifest) { m.Objects[0].Nonce = nil }, "nonce of 0"},
		{"object without checkpoint", func(m *Manifest) { m.Objects[2].Id = nil }, "cannot refer to"},
		{"object of a later checkpoint", func(m *Manifest) { m.Objects[2].Id.Checkpoint = 10 }, "cannot refer to"},
		{"object of a later epoch", func(m *Manifest) { m.Objects[2].Id.Epoch = 3 }, "cannot refer to"},
		{"object of this number in another epoch", func(m *Manifest) { m.Objects[2].Id.Checkpoint = 9 }, "cannot refer to"},
		{"older objects without a base", func(m *Manifest) { m.Base = nil }, "object 0: of checkpoint 4"},
		{"object smaller than a pack", func(m *Manifest) { m.Objects[2].Size = headerSize + packTrailerSize - 1 }, "size 31"},
		{"object larger than any", func(m *Manifest) { m.Objects[2].Size = maxPack + 1 }, "size"},
		{"endless object", func(m *Manifest) { m.Objects[2].Size = math.MaxUint64 }, "size"},
		{"object without writer", func(m *Manifest) { m.Objects[2].Writer = "" }, "no writer"},
		{"writer too long for a key", func(m *Manifest) { m.Objects[2].Writer = strings.Repeat("/", 67) }, "201 bytes in a key"},
		{"object number too wide", func(m *Manifest) { m.Objects[2].Number = maxPackNo + 1 }, "number 1000000"},
		{"object with a manifest's nonce", func(m *Manifest) { m.Objects[2].ManifestNonce = nonce(1) }, "names a manifest"},
		{"object with a manifest's size", func(m *Manifest) { m.Objects[2].ManifestSize = 1 }, "names a manifest"},
		{"object with a manifest's CRC", func(m *Manifest) { m.Objects[2].ManifestCrc32C = 1 }, "names a manifest"},
		{"two objects of one nonce", func(m *Manifest) { m.Objects[2].Nonce = m.Objects[1].Nonce }, "object 2 has the nonce"},

		{"more content than frames can hold", func(m *Manifest) { m.Objects[0].Raw = 1 << 40 }, "1099511627776 bytes of content"},
		{"sealed in the clear", func(m *Manifest) { m.Objects[0].DataKey = nonce(0xe1) }, "object 0 is sealed with data key"},
		{"embedded with a writer", func(m *Manifest) { m.Objects[3].Writer = "main" }, "named like an object"},
		{"embedded with a number", func(m *Manifest) { m.Objects[3].Number = 1 }, "named like an object"},
		{"embedded in a short nonce", func(m *Manifest) { m.Objects[3].ManifestNonce = nonce(1)[1:] }, "embedded in a manifest of"},
		{"embedded in too small a manifest", func(m *Manifest) { m.Objects[3].ManifestSize = 500 + minManifest - 1 }, "500 bytes embedded in a manifest of 520"},
		{"embedded in too large a manifest", func(m *Manifest) { m.Objects[3].ManifestSize = MaxManifest + 1 }, "embedded in a manifest of"},
		{"older and embedded here", func(m *Manifest) { m.Objects[3].ManifestNonce = nil }, "of another checkpoint"},
		{"own and embedded elsewhere", func(m *Manifest) { m.Objects[3].Id = m.Id }, "of another checkpoint"},
		{"two embedded in one", func(m *Manifest) {
			o := proto.CloneOf(m.Objects[3])
			o.Nonce = nonce(1)
			m.Objects = append(m.Objects, o)
		}, "second that is embedded in one manifest"},
	})
}

func TestEmbeddedPackRules(t *testing.T) {
	fresh := func() (*Manifest, []byte) { return goldenEmbedded(t) }
	checkManifestRules(t, fresh, []manifestRule{
		{"size", func(m *Manifest) { m.Objects[0].Size++ }, "where its object says"},
		{"CRC", func(m *Manifest) { m.Objects[0].Crc32C++ }, "CRC32C"},
		{"says the manifest's size", func(m *Manifest) { m.Objects[0].ManifestSize = 1000 }, "of what size this manifest is"},
		{"says the manifest's CRC", func(m *Manifest) { m.Objects[0].ManifestCrc32C = 1000 }, "of what size this manifest is"},
		{"second here", func(m *Manifest) {
			o := proto.CloneOf(m.Objects[0])
			o.Nonce = nonce(1)
			m.Objects = append(m.Objects, o)
		}, "second that is embedded here"},
		{"nobody's", func(m *Manifest) { m.Objects, m.Parts = nil, nil }, "bytes too many"},
		{"an object of its own after all", func(m *Manifest) { m.Objects[0].Embedded, m.Objects[0].Writer = false, "main" }, "bytes too many"},
	})
	checkManifestRules(t, func() (*Manifest, []byte) { m, _ := fresh(); return m, nil }, []manifestRule{
		{"not there", func(*Manifest) {}, "0 bytes of embedded pack"},
	})
	for _, at := range []int{0, 8, 10, 12, -1} { // the magic, the kind, the flags, the length of the body, the trailer
		checkManifestRules(t, func() (*Manifest, []byte) {
			m, pack := fresh()
			pack[(at+len(pack))%len(pack)] ^= 1
			m.Objects[0].Crc32C = CRC32C(pack)
			return m, pack
		}, []manifestRule{{"no pack", func(*Manifest) {}, "is no pack"}})
	}
}

func TestEmbeddedPackIsWhereTheKeySays(t *testing.T) {
	b := golden(t, "manifest-embedded")
	m, pack := goldenEmbedded(t)
	_, at := ObjectKey(m.Job, m.Objects[0], m.Id, nonce(1), uint64(len(b)))
	if got := b[at : at+int64(len(pack))]; string(got) != string(pack) {
		t.Errorf("at %d is %q", at, got)
	}
	// The smallest host that checkObject lets pass still has the pack behind its header.
	o := &Object{Embedded: true, Size: 500, ManifestNonce: nonce(1), ManifestSize: 500 + minManifest}
	if _, at := ObjectKey("j", o, nil, nil, 0); at != headerSize+1 {
		t.Errorf("at %d", at)
	}
}
