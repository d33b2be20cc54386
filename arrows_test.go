package tidemark_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tidemark-go/tidemark"

// arrows says which packages of this module a package may import. Tests may import more; what a user of a package
// compiles may not. A folder's line also stands for the folders below it that have none of their own.
var arrows = map[string][]string{
	".":                             {"checkpoint", "credentials", "credentials/azure", "internal/objstore/transport"},
	"bench":                         {".", "bench/soak", "checkpoint", "credentials", "emulator", "internal/format"}, // format: a HEAD that took weeks to fill is filled in a minute
	"bench/soak":                    {".", "checkpoint", "emulator"},
	"checkpoint":                    {"internal/flock", "internal/format", "internal/objstore", "internal/objstore/bucketstore", "internal/objstore/filestore", "internal/objstore/memstore"},
	"credentials":                   {},
	"credentials/azure":             {"credentials"},
	"credentials/sidecar":           {"credentials"},
	"emulator":                      {},
	"emulator/fakegcs":              {"emulator"},
	"emulator/retryconformance":     {"emulator"},
	"internal/crash":                {},
	"internal/flock":                {},
	"internal/format":               {},
	"internal/objstore":             {},
	"internal/objstore/bucketstore": {"internal/objstore", "internal/objstore/transport"},
	"internal/objstore/filestore":   {"internal/flock", "internal/objstore"},
	"internal/objstore/memstore":    {"internal/objstore"},
	"internal/objstore/storetest":   {"internal/objstore"},
	"internal/objstore/transport":   {},
	"internal/model":                {},
	"internal/mutants":              {},
	"cmd/tidemark":                  {".", "bench", "checkpoint", "credentials", "credentials/azure", "credentials/sidecar", "emulator", "emulator/fakegcs", "cmd/tidemark/internal/demo"},
	"cmd/tidemark/internal/demo":    {".", "checkpoint", "credentials", "emulator", "emulator/fakegcs"},
}

// heavy are dependencies that only the named folders may pull in, so that the library stays light. A key ending in a slash
// stands for everything below it.
var heavy = map[string][]string{
	"github.com/fsouza/fake-gcs-server/": {"emulator/fakegcs"},
	"github.com/nats-io/":                {"cmd/tidemark/internal/demo"},
	"go.etcd.io/bbolt":                   {"cmd/tidemark/internal/demo"},
	"github.com/spf13/":                  {"cmd/tidemark"},
	"cloud.google.com/go/storage":        {"internal/objstore/bucketstore"},
	"github.com/Azure/":                  {"credentials/azure"},
	"github.com/aws/":                    {"credentials", "internal/objstore/bucketstore"},
	"gocloud.dev/":                       {".", "checkpoint", "internal/objstore/bucketstore"},
	"golang.org/x/oauth2/":               {"bench", "credentials", "internal/objstore/bucketstore"},
	"github.com/hashicorp/golang-lru/":   {"checkpoint", "credentials", "credentials/sidecar"},
}

// imports reads the imports of every package, without tests, from the files themselves: what a build tool answers may come from a cache.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name != "." && (strings.HasPrefix(name, ".") || name == "testdata" || isModule(p)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(p))
		found[dir] = append(found[dir], nil...)
		for _, s := range f.Imports {
			name, err := strconv.Unquote(s.Path.Value)
			if err != nil {
				return err
			}
			found[dir] = append(found[dir], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func isModule(dir string) bool {
	if dir == "." {
		return false
	}
	m, _ := filepath.Glob(filepath.Join(dir, "go.mod"))
	return len(m) > 0
}

func TestImportsFollowTheArrows(t *testing.T) {
	found := imports(t)
	if len(found) < 10 {
		t.Fatalf("only %d packages were read", len(found))
	}
	for dir, names := range found {
		allowed, ok := arrows[dir]
		if !ok {
			t.Errorf("package %s has no line in the table of arrows", dir)
			continue
		}
		for _, name := range names {
			checkHeavy(t, dir, name)
			below, own := strings.CutPrefix(name, module)
			if !own {
				continue
			}
			below = strings.TrimPrefix(below, "/")
			if below == "" {
				below = "."
			}
			if !slices.Contains(allowed, below) {
				t.Errorf("%s imports %s; the arrows allow it %v", dir, below, allowed)
			}
		}
	}
	for dir := range arrows {
		if _, ok := found[dir]; !ok {
			t.Errorf("the table of arrows has a line for %s, which does not exist", dir)
		}
	}
}

func checkHeavy(t *testing.T, dir, name string) {
	t.Helper()
	for prefix, allowed := range heavy {
		hit := name == prefix || strings.HasPrefix(name, strings.TrimSuffix(prefix, "/")+"/")
		if hit && !slices.Contains(allowed, dir) {
			t.Errorf("%s imports %s, which is for %v only", dir, name, allowed)
		}
	}
}

// The storage server has to be readable as a reading of its own of Google's protocol.
func TestEmulatorNeedsNoLibrary(t *testing.T) {
	for _, name := range imports(t)["emulator"] {
		if strings.Contains(strings.Split(name, "/")[0], ".") {
			t.Errorf("emulator imports %s; it is built on the standard library alone", name)
		}
	}
}
