package format

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
)

func specification(t *testing.T) string {
	t.Helper()
	return string(must(os.ReadFile("../../docs/format.md"))(t))
}

// The dumps in the specification are the golden files: who follows them by hand must not be led astray.
func TestSpecificationShowsTheGoldenFiles(t *testing.T) {
	doc := specification(t)
	for _, name := range []string{"pack", "pack-delta", "pack-sealed", "head"} {
		_, after, ok := strings.Cut(doc, "<!-- golden: "+name+" -->\n```\n")
		got, _, closed := strings.Cut(after, "```\n")
		if want := hex.Dump(golden(t, name)); !ok || !closed || got != want {
			t.Errorf("docs/format.md does not show the golden file %s, which is\n%s", name, want)
		}
	}
}

// The limits in the specification are the code's.
func TestSpecificationSaysTheLimits(t *testing.T) {
	doc := specification(t)
	group := func(n int) string { // 1048576 as 1,048,576
		s := fmt.Sprint(n)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	}
	for _, row := range []string{
		fmt.Sprintf("| HEAD object | %d MiB |", MaxHead>>20),
		fmt.Sprintf("| manifest object | %d MiB |", MaxManifest>>20),
		fmt.Sprintf("| handle | %d MiB |", MaxHandle>>20),
		fmt.Sprintf("| `last_body` | %d KiB |", MaxLastBody>>10),
		fmt.Sprintf("| wrapped key | %s bytes |", group(maxWrapped)),
		fmt.Sprintf("| content of a frame | %s bytes |", group(MaxRaw)),
		fmt.Sprintf("| pack | %d TiB |", int64(maxPack)>>40),
		fmt.Sprintf("| segment | %d GiB |", maxSegment>>30),
		fmt.Sprintf("| epoch, checkpoint | %s,%s |", group(maxNumber/1_000_000), group(maxNumber%1_000_000)),
		fmt.Sprintf("| packs of one writer in one save | %s |", group(maxPackNo+1)),
		fmt.Sprintf("| writer, as in a key | %d bytes |", maxEscapedWriter),
		fmt.Sprintf("| job name | %d bytes |", maxJobName),
		fmt.Sprintf("| part name, link target | %s bytes |", group(maxPartName)),
		fmt.Sprintf("| owner, tag, lease holder | %s bytes |", group(maxLabel)),
		fmt.Sprintf("64 KiB + %d times its encoded length", maxGrowth),
	} {
		if !strings.Contains(doc, row) {
			t.Errorf("docs/format.md lacks %q", row)
		}
	}
	if growthSlack != 64<<10 {
		t.Error("docs/format.md says that 64 KiB are allowed beyond")
	}
}
