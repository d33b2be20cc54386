package emulator

import (
	"bytes"
	"testing"
)

func text(c content) string {
	var b bytes.Buffer
	_, _ = c.WriteTo(&b)
	return b.String()
}

func TestContentAppendChangesNothingElse(t *testing.T) {
	one := func(s string) content { return content{segments: [][]byte{[]byte(s)}, size: int64(len(s))} }
	base := content{}.append(one("a")).append(one("b")).append(one("c"))
	x, y := base.append(one("x")), base.append(one("y"))
	if text(base) != "abc" || text(x) != "abcx" || text(y) != "abcy" {
		t.Errorf("%q %q %q", text(base), text(x), text(y))
	}
}

func TestContentPart(t *testing.T) {
	const whole = "abcdefghij"
	for cut := range len(whole) {
		c := content{segments: [][]byte{[]byte(whole[:cut]), nil, []byte(whole[cut:])}, size: int64(len(whole))}
		for off := range len(whole) + 1 {
			for n := range len(whole) - off + 1 {
				p := c.part(int64(off), int64(n))
				if text(p) != whole[off:off+n] || p.size != int64(n) {
					t.Fatalf("cut at %d, %d bytes from %d: %q", cut, n, off, text(p))
				}
			}
		}
	}
}
