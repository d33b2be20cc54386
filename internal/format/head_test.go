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
