package format

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

func TestHeadRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(h *Head)
		says   string
	}{
		{"no nonce", func(h *Head) { h.Nonce = nil }, "no nonce"},
		{"short nonce", func(h *Head) { h.Nonce = h.Nonce[1:] }, "no nonce"},
		{"no fence", func(h *Head) { h.Fence = nil }, "no fence"},
		{"no epoch", func(h *Head) {
			h.Epoch, h.Last, h.LastManifest, h.Retained, h.Pins = 0, new(CheckpointID), nil, nil, nil
		}, "epoch 0"},
		{"epoch beyond the keys", func(h *Head) { h.Epoch = maxNumber + 1 }, "epoch 1000000000000"},
		{"no last", func(h *Head) { h.Last = nil }, "not stated"},
		{"last of a later epoch", func(h *Head) { h.Last.Epoch = 3 }, "its last commit is checkpoint 9 of epoch 3"},
		{"last beyond the keys", func(h *Head) { h.Last.Checkpoint = maxNumber + 1 }, "its last commit"},
		{"last without epoch", func(h *Head) { h.Last.Epoch = 0 }, "its last commit"},
		{"last without number", func(h *Head) { h.Last.Checkpoint = 0 }, "its last commit"},
		{"last not named", func(h *Head) { h.LastManifest = nil }, "name the manifest"},
		{"manifest before the first commit", func(h *Head) { h.Last, h.Retained, h.Pins = new(CheckpointID), nil, nil }, "name the manifest"},
		{"owner that clears the screen", func(h *Head) { h.Owner = "\x1b[2J" }, "control character"},
		{"endless owner", func(h *Head) { h.Owner = strings.Repeat("x", maxLabel+1) }, "1025 bytes"},
		{"removed and retaining", func(h *Head) { h.Removed = true }, "removed"},
		{"removed and pinning", func(h *Head) { h.Removed, h.Retained = true, nil }, "removed"},

		{"retained without id", func(h *Head) { h.Retained[0].Id = nil }, "out of order"},
		{"retained zero", func(h *Head) { h.Retained[0].Id.Checkpoint = 0 }, "out of order"},
		{"retained twice", func(h *Head) { h.Retained[0].Id.Checkpoint = 9 }, "9: not the last commit"},
		{"retained in disorder", func(h *Head) { h.Retained[0], h.Retained[1] = h.Retained[1], h.Retained[0] }, "5: out of order"},
		{"retained after last", func(h *Head) { h.Retained[1].Id.Checkpoint = 10 }, "10: out of order"},
		{"retained of no epoch", func(h *Head) { h.Retained[0].Id.Epoch = 0 }, "epoch 0"},
		{"retained of a later epoch", func(h *Head) { h.Retained[1].Id.Epoch = 3 }, "epoch 3"},
		{"retained epochs go back", func(h *Head) { h.Retained[0].Id.Epoch, h.Retained[1].Id.Epoch = 2, 1 }, "epoch 1 out of order"},
		{"retained last of another nonce", func(h *Head) { h.Retained[1].ManifestNonce = nonce(1) }, "not the last commit"},
		{"manifest not named", func(h *Head) { h.Retained[0].ManifestNonce = nil }, "not named"},
		{"manifest without hash", func(h *Head) { h.Retained[0].ManifestHash = h.Retained[0].ManifestHash[:31] }, "not named"},
		{"manifest too small", func(h *Head) { h.Retained[0].ManifestSize = minManifest - 1 }, "manifest of 20 bytes"},
		{"manifest too large", func(h *Head) { h.Retained[0].ManifestSize = MaxManifest + 1 }, "manifest of"},
		{"no figures", func(h *Head) { h.Retained[0].Stats = nil }, "no figures"},
		{"figures that turn negative", func(h *Head) { h.Retained[0].Stats.NewBytes = math.MaxInt64 + 1 }, "out of range"},

		{"pin of kind zero", func(h *Head) { h.Pins[0].Kind = 0 }, "pin of kind 0"},
		{"pin of what is not retained", func(h *Head) { h.Pins[0].Checkpoint = 6 }, "pin of checkpoint 6"},
		{"tag without name", func(h *Head) { h.Pins[0].Name = "" }, "tag"},
		{"tag with an expiry", func(h *Head) { h.Pins[0].ExpiresAtNs = 1 }, "tag"},
		{"tag with a nonce", func(h *Head) { h.Pins[0].Nonce = nonce(1) }, "tag"},
		{"tag twice", func(h *Head) { h.Pins[1] = proto.CloneOf(h.Pins[0]) }, "there twice"},
		{"tag of two lines", func(h *Head) { h.Pins[0].Name = "a\nb" }, "control character"},
		{"lease without nonce", func(h *Head) { h.Pins[1].Nonce = nil }, "lease"},
		{"lease for ever", func(h *Head) { h.Pins[1].ExpiresAtNs = 0 }, "lease"},
		{"lease before time began", func(h *Head) { h.Pins[1].ExpiresAtNs = -1 }, "lease"},
		{"lease twice", func(h *Head) { h.Pins[0] = proto.CloneOf(h.Pins[1]) }, "there twice"},
		{"endless holder", func(h *Head) { h.Pins[1].Name = strings.Repeat("x", maxLabel+1) }, "1025 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := goldenHead()
			tt.change(h)
			_, err := EncodeHead(h)
			wantOne(t, err, ErrInvalid, tt.says)
			_, err = DecodeHead(seal(KindHead, raw(t, h), nil))
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
}

func TestFullHeadRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(h *Head)
		says   string
	}{
		{"key without id", func(h *Head) { h.Key = &WrappedKey{Wrapped: []byte("x")} }, "an id of 0"},
		{"another last manifest", func(h *Head) { h.LastBody[100] ^= 1 }, "not the one that is stored"},
		{"a shorter last manifest", func(h *Head) { h.LastBody = h.LastBody[1:] }, "where 794 are stored"},
		{"a last manifest that is not retained", func(h *Head) { h.Retained, h.Pins = h.Retained[:1], nil }, "not retained"},
		{"too large a last manifest", func(h *Head) {
			h.LastBody = make([]byte, MaxLastBody+1)
			sum := Sum(h.LastBody)
			h.Retained[1].ManifestSize, h.Retained[1].ManifestHash = MaxLastBody+1, sum[:]
		}, "the last manifest with 65537 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := goldenFullHead(t)
			tt.change(h)
			_, err := EncodeHead(h)
			wantOne(t, err, ErrInvalid, tt.says)
			_, err = DecodeHead(seal(KindHead, raw(t, h), nil))
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
}

func TestAssignmentRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(a *Assignment)
		says   string
	}{
		{"no job", func(a *Assignment) { a.Job = "" }, "needs a name"},
		{"no save", func(a *Assignment) { a.Id = nil }, "checkpoint 0"},
		{"no fence", func(a *Assignment) { a.Fence = nil }, "no fence"},
		{"base without manifest", func(a *Assignment) { a.Base.ManifestNonce = nil }, "its manifest is not named"},
		{"base that is itself", func(a *Assignment) { a.Base.Id = proto.CloneOf(a.Id) }, "base 9 for checkpoint 9"},
		{"base of the future", func(a *Assignment) { a.Base.Id.Checkpoint = 10 }, "base 10"},
		{"key of nothing", func(a *Assignment) { a.Key.Wrapped = nil }, "wrapped in 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := goldenAssignment()
			tt.change(a)
			_, err := EncodeAssignment(a)
			wantOne(t, err, ErrInvalid, tt.says)
			_, err = DecodeAssignment(seal(KindAssignment, raw(t, a), nil))
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
	least := &Assignment{Job: "j", Id: &CheckpointID{Epoch: 1, Checkpoint: 1}, Fence: nonce(1)}
	if got := must(DecodeAssignment(must(EncodeAssignment(least))(t)))(t); !proto.Equal(got, least) {
		t.Errorf("got %v", got)
	}
}

func TestHandleRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(h *Handle)
		says   string
	}{
		{"no fence", func(h *Handle) { h.Fence = nil }, "no fence"},
		{"no incarnation", func(h *Handle) { h.Incarnation = h.Incarnation[1:] }, "no incarnation"},
		{"no manifest of its base", func(h *Handle) { h.BaseManifest = nil }, "manifest of its base"},
		{"manifest of no base", func(h *Handle) { h.Base = nil }, "manifest of its base"},
		{"no writer", func(h *Handle) { h.Writer = "" }, "no writer"},
		{"no figures", func(h *Handle) { h.Stats = nil }, "no figures"},
		{"another writer's pack", func(h *Handle) { h.Objects[0].Writer = "enrich/4" }, `object 0 is of writer "enrich/4"`},
		{"embedded in the manifest to come", func(h *Handle) { h.Objects[0].Embedded, h.Objects[0].Writer = true, "" }, `object 0 is of writer ""`},
		{"no job", func(h *Handle) { h.Job = "" }, "needs a name"},
		{"a sealed pack", func(h *Handle) { h.Objects[0].DataKey = nonce(0xe1) }, "is sealed with data key"},
		{"parts in disorder", func(h *Handle) { h.Parts = append(h.Parts, h.Parts[0]) }, "out of order"},
		{"a chunk of no pack", func(h *Handle) { h.Parts[0].Segments[0].GetInline().ChunkPack[0] = 2 }, "object 2 of 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := goldenHandle()
			tt.change(h)
			_, err := EncodeHandle(h, nil)
			wantOne(t, err, ErrInvalid, tt.says)
			_, err = DecodeHandle(seal(KindHandle, raw(t, h), nil), nil)
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
	h := goldenHandle()
	h.Objects[0].DataKey = nonce(0xe1)
	if got := must(DecodeHandle(must(EncodeHandle(h, goldenSealing()))(t), goldenRing()))(t); !proto.Equal(got, h) {
		t.Errorf("got %v", got)
	}
	_, err := DecodeHandle(seal(KindHandle, raw(t, goldenHandle()), []byte("x")), nil)
	wantOne(t, err, ErrCorrupt, "1 bytes too many")
}

func TestHeadsThatAreRight(t *testing.T) {
	for name, change := range map[string]func(h *Head){
		"as it is":     func(*Head) {},
		"no owner":     func(h *Head) { h.Owner = "" },
		"before first": func(h *Head) { h.Last, h.LastManifest, h.Retained, h.Pins = new(CheckpointID), nil, nil, nil },
		"removed":      func(h *Head) { h.Removed, h.Retained, h.Pins = true, nil, nil },
		"last retired": func(h *Head) { h.Retained, h.Pins = h.Retained[:1], h.Pins[:1] },
		"two leases of one holder": func(h *Head) {
			p := proto.CloneOf(h.Pins[1])
			p.Nonce = nonce(1)
			h.Pins = append(h.Pins, p)
		},
		"largest numbers": func(h *Head) {
			h.Epoch, h.Last.Epoch, h.Last.Checkpoint = maxNumber, maxNumber, maxNumber
			h.Retained[1].Id = proto.CloneOf(h.Last)
			h.Pins = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := goldenHead()
			change(h)
			if got := must(DecodeHead(must(EncodeHead(h))(t)))(t); !proto.Equal(got, h) {
				t.Errorf("got %v, want %v", got, h)
			}
		})
	}
}
