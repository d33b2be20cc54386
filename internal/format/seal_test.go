package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// resum makes the checksums of a pack's frames and index right again, as somebody would who changes them on purpose.
func resum(b []byte, x *PackIndex) []byte {
	b = bytes.Clone(b)
	for _, e := range x.Entries {
		f := b[e.Offset:][:e.Stored]
		binary.LittleEndian.PutUint32(f[frameFields:], UpdateCRC32C(CRC32C(f[:frameFields]), f[FrameHeaderSize:]))
	}
	end := len(b) - packTrailerSize
	if n := int(binary.LittleEndian.Uint32(b[end:])); n <= end {
		binary.LittleEndian.PutUint32(b[end+4:], CRC32C(b[end-n:end]))
	}
	return b
}

// Who can write to the store, and has no key, cannot change a byte that is then believed: checksums are no help to them.
func TestSealedObjectsCannotBeChanged(t *testing.T) {
	whole := golden(t, "pack-sealed")
	x, _, err := DecodePack(whole, goldenRing())
	if err != nil {
		t.Fatal(err)
	}
	crcs := map[int]bool{}
	for i := range crcSize {
		for _, e := range x.Entries {
			crcs[int(e.Offset)+frameFields+i] = true
		}
		crcs[len(whole)-packTrailerSize+4+i] = true
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		if err := readPack(resum(b, x), goldenRing()); err == nil && !crcs[i] {
			t.Errorf("byte %d of the pack is changed, and nothing is said", i)
		}
	}
	for _, name := range []string{"manifest-sealed", "handle-sealed"} {
		whole := golden(t, name)
		for i := range whole[:len(whole)-crcSize] {
			b := bytes.Clone(whole)
			b[i] ^= 0x10
			binary.LittleEndian.PutUint32(b[len(b)-crcSize:], CRC32C(b[:len(b)-crcSize]))
			if goldens[name].read(b) == nil {
				t.Errorf("byte %d of %s is changed, and nothing is said", i, name)
			}
		}
	}
}

// A sealed frame is good at its own place of its own pack, and nowhere else.
func TestSealedFramesCannotBeMoved(t *testing.T) {
	key := goldenKey()
	p := NewPackBuilder(nil, nonce(1), key)
	f := plain(textContent)
	x := PackFrame{Kind: PackEntry_CHUNK, Raw: len(textContent), Hash: Sum(textContent), Part: db()}
	first, stored := p.Add(f, x)
	second, _ := p.Add(f, x)
	b := must(p.Finish())(t)
	at := func(offset uint64) Chunk {
		return Chunk{Offset: offset, Stored: stored, Raw: uint32(len(textContent)), Hash: Sum(textContent)}
	}
	sealed := b[first:][:stored]
	if bytes.Contains(b, textContent[:8]) || bytes.Equal(sealed[FrameHeaderSize:], b[second:][FrameHeaderSize:stored]) {
		t.Error("the content, or that it is there twice, can be seen")
	}
	if got := must(DecodeFrame(nil, sealed, at(first), key.FrameKey(nonce(1))))(t); !bytes.Equal(got, textContent) {
		t.Errorf("got %q", got)
	}
	for name, tt := range map[string]struct {
		c    Chunk
		key  *FrameKey
		says string
	}{
		"elsewhere":       {at(second), key.FrameKey(nonce(1)), "does not open"},
		"in another pack": {at(first), key.FrameKey(nonce(2)), "does not open"},
		"as a manifest":   {at(first), key.derive(KindManifest, nonce(1)), "does not open"},
		"in the clear":    {at(first), nil, "sealed: true"},
	} {
		_, err := DecodeFrame(nil, sealed, tt.c, tt.key)
		t.Run(name, func(t *testing.T) { wantOne(t, err, ErrCorrupt, tt.says) })
	}
	_, err := DecodeFrame(nil, f, describe(f, textContent), key.FrameKey(nonce(1)))
	wantOne(t, err, ErrCorrupt, "sealed: false, in a pack that is: true")
}

func TestSealedFramesOfEveryCodec(t *testing.T) {
	key := goldenKey().FrameKey(nonce(1))
	dst := make([]byte, 0, MaxRaw+TagSize)
	for _, n := range []int{1, 100, 4096, MaxRaw} {
		for name, content := range map[string][]byte{"noise": noise(uint64(n), n), "text": bytes.Repeat([]byte("tide "), n/5+1)[:n]} {
			for _, c := range []Codec{CodecNone, CodecSnappy, CodecZstd} {
				f, _ := AppendFrame(nil, content, nil, c)
				space := make([]byte, len(f)+TagSize)
				key.seal(space, f, 1<<33)
				want := describe(space, content)
				want.Offset = 1 << 33
				if got := must(DecodeFrame(dst, space, want, key))(t); !bytes.Equal(got, content) || cap(got) != n {
					t.Errorf("%s of %d bytes, codec %d: %d came back", name, n, c, len(got))
				}
				if err := checkRow(uint32(len(space)), uint32(n), HashSize); err != nil {
					t.Error(err)
				}
				if got := testing.AllocsPerRun(20, func() { key.seal(space, f, 1<<33) }); got > 0 {
					t.Errorf("sealing allocates %v times", got)
				}
				// Under the race detector pools forget on purpose, and a decoder's workspace is made anew now and then.
				if got := testing.AllocsPerRun(20, func() { _, _ = DecodeFrame(dst, space, want, key) }); got > 1 {
					t.Errorf("%s of %d, codec %d: opening allocates %v times", name, n, c, got)
				}
			}
		}
	}
}

func TestWithoutTheKey(t *testing.T) {
	for _, name := range []string{"manifest-sealed", "handle-sealed", "pack-sealed"} {
		b := golden(t, name)
		for _, ring := range []Keyring{nil, {KeyID{1}: goldenKey()}} {
			var err error
			switch b[8] {
			case 'M':
				_, err = decodeWhole(b, ring)
			case 'W':
				_, err = DecodeHandle(b, ring)
			case 'P':
				_, _, err = DecodePack(b, ring)
			}
			wantOne(t, err, ErrSealed, "data key e1e1")
		}
		keys := must(WrappedKeys(b))(t)
		if len(keys) != 1 || !proto.Equal(keys[0], goldenKey().Wrapped()) {
			t.Errorf("%s: keys %v", name, keys)
		}
		for _, secret := range []string{"state/db", "enrich/3/log", string(textContent)} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s: %q is in the clear", name, secret)
			}
		}
		hash := Sum(textContent)
		if bytes.Contains(b, hash[:4]) {
			t.Errorf("%s: a hash of content is in the clear", name)
		}
	}
	if keys, err := WrappedKeys(golden(t, "manifest-stored")); err != nil || keys != nil {
		t.Errorf("keys of what is not sealed: %v, %v", keys, err)
	}
	_, err := WrappedKeys([]byte("<html>"))
	wantOne(t, err, ErrCorrupt, "cut off")
	_, err = Keyring{}.FrameKey(&Object{DataKey: nonce(1)})
	wantOne(t, err, ErrSealed, "data key 0101")
	if k, err := (Keyring(nil)).FrameKey(&Object{}); k != nil || err != nil {
		t.Errorf("a plain pack has key %v, %v", k, err)
	}
}

// A collector has no key, and knows all the same what a manifest needs.
func TestManifestRefers(t *testing.T) {
	for name, want := range map[string][]Nonce{
		"manifest-embedded": {},
		"manifest-stored":   {Nonce(nonce(0x55)), Nonce(nonce(0xaa)), Nonce(nonce(0xbb)), Nonce(nonce(0xdd))},
		"manifest-sealed":   {Nonce(nonce(0x55)), Nonce(nonce(0xdd))},
	} {
		if got := must(ManifestRefers(golden(t, name)))(t); !slices.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", name, got, want)
		}
	}
	_, err := ManifestRefers(golden(t, "handle-sealed"))
	wantOne(t, err, ErrCorrupt, "where 'M' belongs")

	// A prelude that says less than the manifest would have a collector delete what is needed: whoever opens the manifest finds out.
	m, pack := goldenSealed(t)
	for _, others := range [][]byte{nil, nonce(0x55), slices.Concat(nonce(0xdd), nonce(0x55)), slices.Concat(nonce(0x55), nonce(0xdd), nonce(0xde))} {
		b := must(envelope(KindManifest, raw(t, m), pack, goldenSealing(), others))(t)
		_, err := decodeWhole(b, goldenRing())
		wantOne(t, err, ErrCorrupt, "disagree about what it refers to")
	}
	_, err = ManifestRefers(must(envelope(KindManifest, nil, nil, goldenSealing(), slices.Concat(nonce(2), nonce(1))))(t))
	wantOne(t, err, ErrCorrupt, "out of order")
	_, err = DecodeHandle(must(envelope(KindHandle, raw(t, goldenHandle()), nil, goldenSealing(), nonce(1)))(t), goldenRing())
	wantOne(t, err, ErrCorrupt, "no manifest refers")
}

func TestSealedRules(t *testing.T) {
	fresh := func() *Sealed { return goldenSealing().message() }
	for _, tt := range []struct {
		name   string
		change func(s *Sealed)
		says   string
	}{
		{"no nonce", func(s *Sealed) { s.Nonce = nil }, "nonce of 0"},
		{"half a nonce of another", func(s *Sealed) { s.Refers = nonce(1)[8:] }, "others of 8"},
		{"no keys", func(s *Sealed) { s.Keys = nil }, "not among its keys"},
		{"another key", func(s *Sealed) { s.DataKey = nonce(1) }, "not among its keys"},
		{"key without id", func(s *Sealed) { s.Keys[0].Id = nil }, "an id of 0"},
		{"key of nothing", func(s *Sealed) { s.Keys[0].Wrapped = nil }, "wrapped in 0"},
		{"endless key", func(s *Sealed) { s.Keys[0].Wrapped = make([]byte, maxWrapped+1) }, "wrapped in 16385"},
		{"keeper that clears the screen", func(s *Sealed) { s.Keys[0].Keeper = "\x1b[2J" }, "control character"},
		{"key twice", func(s *Sealed) { s.Keys = append(s.Keys, s.Keys[0]) }, "out of order"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := fresh()
			s.Keys[0] = proto.CloneOf(s.Keys[0])
			tt.change(s)
			p := raw(t, s)
			_, _, err := readPrelude(KindManifest, append(binary.LittleEndian.AppendUint32(nil, uint32(len(p))), p...))
			wantOne(t, err, ErrCorrupt, tt.says)
		})
	}
	for _, b := range [][]byte{nil, {1, 0, 0}, {1, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff, 0}} {
		_, _, err := readPrelude(KindManifest, b)
		wantOne(t, err, ErrCorrupt, "prelude cut off")
	}
	for _, k := range []Kind{KindHead, KindAssignment} {
		b := seal(k, nil, nil)
		b[10] |= flagSealed
		_, err := WrappedKeys(b)
		wantOne(t, err, ErrCorrupt, "never encrypted")
	}
	b := append(appendHeader(nil, KindHandle, flagSealed, 0), must(goldenSealing().prelude(nil))(t)...)
	b = bytes.Clone(b[:headerSize])
	p := must(goldenSealing().prelude(nil))(t)
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(p))), p...)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(b)-headerSize))
	_, err := DecodeHandle(binary.LittleEndian.AppendUint32(b, CRC32C(b)), goldenRing())
	wantOne(t, err, ErrCorrupt, "nothing behind the prelude")
}

// A manifest names every key that its packs need, once, in order, whatever the order in which they were given.
func TestSealingNamesAllKeys(t *testing.T) {
	m, pack := goldenSealed(t)
	m.Objects[1].DataKey = nonce(0x01)
	other := &WrappedKey{Id: nonce(0x01), Wrapped: []byte("x")}
	s := goldenSealing()
	_, err := encodeWhole(m, pack, s)
	wantOne(t, err, ErrInvalid, "not among this object's")
	s.Keys = []*WrappedKey{goldenKey().Wrapped(), other, other}
	b := must(encodeWhole(m, pack, s))(t)
	if keys := must(WrappedKeys(b))(t); len(keys) != 2 || !proto.Equal(keys[0], other) {
		t.Errorf("keys %v", keys)
	}
	if got := must(decodeWhole(b, goldenRing()))(t); !proto.Equal(got, m) {
		t.Errorf("got %v", got)
	}
	_, err = encodeWhole(m, pack, nil)
	wantOne(t, err, ErrInvalid, "is sealed with data key")
	m, pack = goldenSealed(t)
	m.Objects[0].DataKey = nil
	_, err = encodeWhole(m, pack, goldenSealing())
	wantOne(t, err, ErrInvalid, "not sealed as its object says")
}

func TestDataKeysDoNotPrint(t *testing.T) {
	k := goldenKey()
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		s := fmt.Sprintf(format, k)
		if strings.Contains(s, "\x00\x01\x02\x03") || strings.Contains(s, "00010203") || strings.Contains(s, "0 1 2 3") || strings.Contains(s, "0x0, 0x1, 0x2") {
			t.Errorf("%s says %s", format, s)
		}
	}
	for _, n := range []int{0, 16, 31, 33} {
		_, err := NewDataKey(k.Wrapped(), make([]byte, n))
		wantOne(t, err, ErrInvalid, fmt.Sprintf("a secret of %d bytes", n))
	}
	_, err := NewDataKey(&WrappedKey{Id: nonce(1)[1:]}, make([]byte, DataKeySize))
	wantOne(t, err, ErrInvalid, "an id of 15 bytes")
}

func BenchmarkSealFrame(b *testing.B) {
	key := goldenKey().FrameKey(nonce(1))
	for _, n := range []int{4 << 10, 256 << 10} {
		content := noise(1, n)
		f, _ := AppendFrame(nil, content, nil, CodecNone)
		space, dst := make([]byte, len(f)+TagSize), make([]byte, n)
		b.Run(fmt.Sprintf("seal/%dKiB", n>>10), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				key.seal(space, f, 16)
			}
		})
		b.Run(fmt.Sprintf("open/%dKiB", n>>10), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			key.seal(space, f, 16)
			want := describe(space, content)
			for b.Loop() {
				if _, err := DecodeFrame(dst, space, want, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
