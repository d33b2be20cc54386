package format

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

func TestKeysAsTheyAreSpecified(t *testing.T) {
	id := &CheckpointID{Epoch: 12, Checkpoint: 345}
	n := nonce(0xab)
	hexNonce := strings.Repeat("ab", NonceSize)
	for _, tt := range []struct{ got, want string }{
		{HeadKey("orders"), "orders/HEAD"},
		{ManifestKey("orders", id, n), "orders/manifests/000000000012-000000000345-" + hexNonce},
		{PackKey("orders", &Object{Id: id, Writer: "main", Number: 6, Nonce: n}), "orders/data/000000000012/000000000345/main-000006-" + hexNonce},
		{PackKey("orders", &Object{Id: id, Writer: "enrich/3", Nonce: n}), "orders/data/000000000012/000000000345/enrich%2F3-000000-" + hexNonce},
		{PackKey("orders", &Object{Id: id, Writer: "zähler 100% a__0x2e__", Nonce: n}), "orders/data/000000000012/000000000345/z%C3%A4hler%20100%25%20a_%5F0x2e_%5F-000000-" + hexNonce},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

// oddWriters are names that could break out of their place in a key.
var oddWriters = []string{
	"main", "enrich/3", "a-b", "-", "--", "-000001-", "a-000001-" + strings.Repeat("0", 32), "%", "%2F", "%2f", "100%", "..", ".", "../../x", "a b", "zähler", "時", "🌊",
	"_", "__", "___0x2f__", "a?b#c", "\\", "\x00\n", "~", "+", "=&$@:", strings.Repeat("x", maxEscapedWriter),
}

func randomObject(r *rand.Rand) *Object {
	number := func(most uint64) uint64 { // of any width
		return 1 + r.Uint64N(most)>>r.IntN(40)%most
	}
	n := nonce(0)
	for i := range n {
		n[i] = byte(r.Uint32())
	}
	return &Object{
		Id:     &CheckpointID{Epoch: min(number(maxNumber), maxNumber), Checkpoint: min(number(maxNumber), maxNumber)},
		Writer: oddWriters[r.IntN(len(oddWriters))], Number: uint32(r.IntN(maxPackNo + 1)), Nonce: n,
	}
}

func TestKeysComeBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		o := randomObject(r)
		if err := checkWriter(o.Writer); err != nil {
			t.Fatal(err)
		}
		want := Name{Epoch: o.Id.Epoch, Checkpoint: o.Id.Checkpoint, Writer: o.Writer, Number: o.Number, Nonce: Nonce(o.Nonce)}
		key := PackKey("j", o)
		if got, ok := ParseKey("j", key); !ok || got != want {
			t.Fatalf("%s: got %+v, want %+v", key, got, want)
		}
		if err := objstore.CheckKey("test", key); err != nil {
			t.Fatalf("a store would refuse the key: %v", err)
		}
		want.Manifest, want.Writer, want.Number = true, "", 0
		key = ManifestKey("j", o.Id, o.Nonce)
		if got, ok := ParseKey("j", key); !ok || got != want {
			t.Fatalf("%s: got %+v, want %+v", key, got, want)
		}
	}
}

// A listing is in the order of the numbers, so that what is newest is last.
func TestKeysSortLikeNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	objects := make([]*Object, 5000)
	for i := range objects {
		objects[i] = randomObject(r)
		objects[i].Writer = "main"
		if i%2 == 1 { // equal but for the last number, half of the time
			objects[i].Id = objects[i-1].Id
		}
	}
	less := func(a, b *Object) int {
		return cmp.Or(cmp.Compare(a.Id.Epoch, b.Id.Epoch), cmp.Compare(a.Id.Checkpoint, b.Id.Checkpoint), cmp.Compare(a.Number, b.Number))
	}
	slices.SortFunc(objects, func(a, b *Object) int { return cmp.Compare(PackKey("j", a), PackKey("j", b)) })
	if !slices.IsSortedFunc(objects, less) {
		t.Error("packs are listed out of order")
	}
	slices.SortFunc(objects, func(a, b *Object) int {
		return cmp.Compare(ManifestKey("j", a.Id, a.Nonce), ManifestKey("j", b.Id, b.Nonce))
	})
	if !slices.IsSortedFunc(objects, func(a, b *Object) int {
		return cmp.Or(cmp.Compare(a.Id.Epoch, b.Id.Epoch), cmp.Compare(a.Id.Checkpoint, b.Id.Checkpoint))
	}) {
		t.Error("manifests are listed out of order")
	}
}

func TestForeignKeysAreRefused(t *testing.T) {
	const e, c, n = "000000000001", "000000000002", "0123456789abcdef0123456789abcdef"
	manifest, pack := "j/manifests/"+e+"-"+c+"-"+n, "j/data/"+e+"/"+c+"/main-000000-"+n
	for _, key := range []string{manifest, pack} {
		if _, ok := ParseKey("j", key); !ok {
			t.Fatalf("%s is refused", key)
		}
	}
	for _, key := range []string{
		"", "j", "j/HEAD", e + "-" + c + "-" + n, e + "/" + c + "/main-000000-" + n, "j/manifests/", "j/data/", "k" + manifest[1:], manifest + "/", manifest + "-", "j/" + manifest, "j/manifests/x", "j/manifests/" + e + "-" + c,
		"j/manifests/" + e + "-" + c + "-" + n[1:], "j/manifests/" + e + "-" + c + "-" + n + "0", "j/manifests/" + e + "-" + c + "-" + strings.ToUpper(n),
		"j/manifests/" + e + "-" + c + "-" + "g" + n[1:], "j/manifests/" + e[1:] + "-" + c + "-" + n, "j/manifests/0" + e + "-" + c + "-" + n,
		"j/manifests/+00000000001-" + c + "-" + n, "j/manifests/-00000000001-" + c + "-" + n, "j/manifests/0x0000000001-" + c + "-" + n, "j/manifests/00000000000a-" + c + "-" + n,
		"j/manifests/000000000000-" + c + "-" + n, "j/manifests/" + e + "-000000000000-" + n, "j/manifests/" + e + "/" + c + "/" + n,
		"j/data/" + e + "/" + c, "j/data/" + e + "/" + c + "/", "j/data/" + e + "/" + c + "/" + n, "j/data/" + e + "/" + c + "/main-" + n, "j/data/" + e + "/" + c + "/-000000-" + n,
		"j/data/" + e + "/" + c + "/000000-" + n, "j/data/" + e + "/" + c + "/main-00000-" + n, "j/data/" + e + "/" + c + "/main-0000000-" + n, "j/data/" + e + "/" + c + "/main-00000a-" + n,
		"j/data/" + e + "/" + c + "/ma/in-000000-" + n, "j/data/" + e + "/" + c + "/ma%2fin-000000-" + n, "j/data/" + e + "/" + c + "/ma%in-000000-" + n, "j/data/" + e + "/" + c + "/%6Dain-000000-" + n,
		"j/data/" + e + "/" + c + "/ma in-000000-" + n, "j/data/" + e + "/" + c + "/a__b-000000-" + n, "j/data/" + e + "/" + c + "/%FF-000000-" + n,
		"j/data/" + e + "/" + c + "/" + strings.Repeat("x", maxEscapedWriter+1) + "-000000-" + n,
		"j/data/000000000000/" + c + "/main-000000-" + n, "j/data/" + e + "/" + c + "/main-000000-" + n + ".tmp", "j/data/" + e + "/" + c + "/main-000000-" + n[:31] + "G",
	} {
		if name, ok := ParseKey("j", key); ok {
			t.Errorf("%s is taken for %+v", key, name)
		}
	}
}

func TestObjectKey(t *testing.T) {
	self := &CheckpointID{Epoch: 3, Checkpoint: 30}
	own := &Object{Id: self, Writer: "main", Nonce: nonce(1), Size: 1000}
	if key, at := ObjectKey("j", own, self, nonce(9), 5000); key != PackKey("j", own) || at != 0 {
		t.Errorf("an object of its own is at %s, %d", key, at)
	}
	here := &Object{Id: self, Nonce: nonce(1), Size: 1000, Embedded: true}
	if key, at := ObjectKey("j", here, self, nonce(9), 5000); key != ManifestKey("j", self, nonce(9)) || at != 5000-4-1000 {
		t.Errorf("one that is embedded here is at %s, %d", key, at)
	}
	old := &Object{Id: &CheckpointID{Epoch: 2, Checkpoint: 20}, Nonce: nonce(1), Size: 1000, Embedded: true, ManifestNonce: nonce(8), ManifestSize: 4000}
	if key, at := ObjectKey("j", old, self, nonce(9), 5000); key != ManifestKey("j", old.Id, nonce(8)) || at != 4000-4-1000 {
		t.Errorf("one that is embedded elsewhere is at %s, %d", key, at)
	}
}

func TestJobNames(t *testing.T) {
	for _, name := range []string{"orders", "a", "a.b", ".hidden", "orders v2", "zähler", "…", "時", "100%", "%2F", "HEAD", "data", "-x", "a_b__c", strings.Repeat("x", maxJobName)} {
		if err := CheckJobName(name); err != nil {
			t.Error(err)
		}
		// What is a name here must be one to every store.
		o := &Object{Id: &CheckpointID{Epoch: 1, Checkpoint: 1}, Writer: strings.Repeat("w", maxEscapedWriter), Nonce: nonce(1)}
		for _, key := range []string{HeadKey(name), PackKey(name, o), ManifestKey(name, o.Id, o.Nonce)} {
			if err := objstore.CheckKey("test", key); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			if _, ok := ParseKey(name, key); ok == strings.HasSuffix(key, "/HEAD") {
				t.Errorf("%q: ParseKey of %s is %v", name, key, ok)
			}
		}
	}
	for name, says := range map[string]string{
		"": "needs a name", ".": "ends in a dot", "..": "ends in a dot", "a.": "ends in a dot", "a/b": "one path segment", `a\b`: "one path segment", "/": "one path segment",
		"a\nb": "control", "a\x00": "control", "\x1b[2J": "control", "\x7f": "control", "\u0085": "control", "a\u200bb": "cannot be seen", "\u202egpj.exe": "cannot be seen",
		"\ufeffa": "cannot be seen", "a\u00a0b": "cannot be seen", "\ufffe": "cannot be seen", " a": "space", "a ": "space", " ": "space", "\xff": "UTF-8", ".tidemark": "for itself",
		".tidemark-probe": "for itself", "a__0x2fb": "__0x", strings.Repeat("x", maxJobName+1): "201 bytes",
	} {
		if err := CheckJobName(name); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", name, err, says)
		}
	}
}

func TestPartNames(t *testing.T) {
	for _, name := range []string{"a", "a/b", "...", ".a", "a..", "-", " ", "a b", "zähler", "\xff\xfe", "a\nb", `a\b`, "C:x", "~", strings.Repeat("x", maxPartName)} {
		if err := CheckPartName(name); err != nil {
			t.Error(err)
		}
	}
	for name, says := range map[string]string{
		"": "needs a name", "/": "plain relative path", "/a": "plain relative path", "a/": "plain relative path", "a//b": "plain relative path", ".": "plain relative path",
		"..": "plain relative path", "a/../b": "plain relative path", "./a": "plain relative path", "a/.": "plain relative path", "a\x00b": "zero byte",
		strings.Repeat("x", maxPartName+1): "4097 bytes",
	} {
		if err := CheckPartName(name); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", name, err, says)
		}
	}
}

func TestKeysOfJobsInsideEachOthersPrefixes(t *testing.T) {
	o := &Object{Id: &CheckpointID{Epoch: 1, Checkpoint: 1}, Writer: "main", Nonce: nonce(1)}
	for _, inner := range []string{"data", "manifests", "HEAD"} { // a store opened at .../orders, beside a job named orders
		for _, key := range []string{HeadKey(inner), PackKey(inner, o), ManifestKey(inner, o.Id, o.Nonce)} {
			if name, ok := ParseKey("orders", "orders/"+key); ok {
				t.Errorf("%s is taken for %+v", key, fmt.Sprint(name))
			}
		}
	}
}
