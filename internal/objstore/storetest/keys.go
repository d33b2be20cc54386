package storetest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// odd are keys that something on the way may take for others: escapes, separators, dots, what two alphabets write alike, the control
// characters that are legal (those of C1), and names of many bytes.
var odd = []string{
	"plain", "with space", "two  spaces", " lead", "trail ", "per%cent", "%", "%%", "%2e", "%2F", "%00", "%41", "a%2fb", "a+b", "+", "++", "a&b=c", "&amp;",
	"q?x", "h#x", "semi;colon", "colon:x", "star*", `back\slash`, "at@x", "bang!", "$dollar", "(round)", "[square]", "{curly}", "a,b", "'single'",
	`"quoted"`, "<angle>", "pipe|", "tilde~", "caret^", "back`tick", "under_score", "UPPER/HEAD", "upper/head",
	"äöü", "日本語/キー", "emoji/🌊", "caf\u00e9", "cafe\u0301", "\u202eright to left", "zero\u200bwidth", "soft\u00adhyphen", "line\u2028separator",
	"nbsp\u00a0x", "c1\u0080first", "c1\u0085next line", "c1\u009flast", "last \U0010ffff", "replacement\ufffd",
	".hidden", ".tidemark/tmp/x", ".tidemark-x", "..two", "three...x", "a/.b/..c", "a__0b", "con", "nul/aux", "-", "--flag", "~root", "http:x",
	strings.Repeat("s", 200) + "/" + strings.Repeat("t", 200), strings.Repeat("d/", 60) + "deep",
	strings.Repeat(strings.Repeat("ü", 100)+"/", 4) + strings.Repeat("x", 196), // 1,000 bytes
}

func oddKeys(t *testing.T, ctx context.Context, s objstore.Store, o Options) {
	keys := slices.DeleteFunc(slices.Clone(odd), func(key string) bool { return slices.Contains(o.Refused, key) })
	for _, key := range o.Refused {
		_, err := s.Put(ctx, key, nil, objstore.Absent)
		wantKind(t, err, objstore.KindInvalid)
	}
	for _, key := range keys {
		put(t, ctx, s, key, "body of "+key, objstore.Absent)
	}
	for _, key := range keys {
		if body, _ := get(t, ctx, s, key); body != "body of "+key {
			t.Errorf("%q holds %q", key, body)
		}
		if _, err := s.Stat(ctx, key); err != nil {
			t.Errorf("stat %q: %v", key, err)
		}
		if got := list(t, ctx, s, key); !slices.Contains(got, key) {
			t.Errorf("%q is not listed below itself: %q", key, got)
		}
	}
	slices.Sort(keys)
	if got := list(t, ctx, s, ""); !slices.Equal(got, keys) {
		t.Errorf("listed %q\nwant   %q", got, keys)
	}
	for _, key := range keys {
		if err := s.Delete(ctx, key); err != nil {
			t.Errorf("delete %q: %v", key, err)
		}
	}
	if got := list(t, ctx, s, ""); len(got) != 0 {
		t.Errorf("left after all was deleted: %q", got)
	}
}

func invalidKeys(t *testing.T, ctx context.Context, s objstore.Store, _ Options) {
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.", "./a", "a/..", "dot.", "a../b", "a__0x2f__b", "nul\x00", "new\nline", "\x7f", "not a character\ufffe", "nor this\uffff",
		"bad\xffutf8", strings.Repeat("k", 1025), "a/" + strings.Repeat("s", 256),
	} {
		_, putErr := s.Put(ctx, key, nil, objstore.Absent)
		_, _, getErr := s.Get(ctx, key, 1)
		_, statErr := s.Stat(ctx, key)
		for op, err := range map[string]error{
			"put": putErr, "get": getErr, "stat": statErr,
			"range": s.ReadRange(ctx, key, 0, nil), "delete": s.Delete(ctx, key),
		} {
			if objstore.KindOf(err) != objstore.KindInvalid {
				t.Errorf("%s %q: %v, want %v", op, key, err, objstore.KindInvalid)
			}
		}
	}
	for _, prefix := range []string{"/", "a//", "../", "a/../b", "x\xff", "a\x00", "\uffff"} {
		for _, err := range s.List(ctx, prefix) {
			wantKind(t, err, objstore.KindInvalid)
		}
		for _, err := range s.Dirs(ctx, prefix) {
			wantKind(t, err, objstore.KindInvalid)
		}
	}
}
