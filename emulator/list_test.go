package emulator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"
)

// naive is what a listing must return, in the simplest words: names first, then prefixes.
func naive(names []string, q storage.Query) (items, prefixes []string) {
	for _, name := range slices.Sorted(slices.Values(names)) {
		if !strings.HasPrefix(name, q.Prefix) || name < q.StartOffset || (q.EndOffset != "" && name >= q.EndOffset) {
			continue
		}
		rest := name[len(q.Prefix):]
		at := strings.Index(rest, q.Delimiter)
		if q.Delimiter == "" || at < 0 {
			items = append(items, name)
			continue
		}
		group := q.Prefix + rest[:at+len(q.Delimiter)]
		if !slices.Contains(prefixes, group) {
			prefixes = append(prefixes, group)
		}
		if q.IncludeTrailingDelimiter && name == group {
			items = append(items, name)
		}
	}
	return items, prefixes
}

func TestListAgreesWithTheSimplestListing(t *testing.T) {
	_, srv := newTestStorage(t, nil)
	b := newTestClient(t, srv).Bucket(testBucket)
	rng := rand.New(rand.NewPCG(1, 2))
	letters := []string{"a", "b", "/", "-", "é", "日", "\U0010ffff", "~"}
	word := func(longest int) string {
		var w strings.Builder
		for range rng.IntN(longest + 1) {
			w.WriteString(letters[rng.IntN(len(letters))])
		}
		return w.String()
	}
	var names []string
	for len(names) < 150 {
		if name := word(6); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
			mustPut(t, b.Object(name), nil)
		}
	}
	for i := range 300 {
		q := storage.Query{Prefix: word(2), StartOffset: word(2), EndOffset: word(2), IncludeTrailingDelimiter: rng.IntN(2) == 0}
		q.Delimiter = []string{"", "/", "-", "a/", "日"}[rng.IntN(5)]
		page := []int{1, 2, 3, 10, 1000}[rng.IntN(5)]
		if q.EndOffset != "" && q.EndOffset <= q.StartOffset {
			q.EndOffset = ""
		}
		items, prefixes := naive(names, q)
		gotItems, gotPrefixes, err := listAll(b.Objects(t.Context(), &q), page)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(gotItems, items) || !slices.Equal(gotPrefixes, prefixes) {
			t.Fatalf("listing %d, pages of %d, %+v:\n got %q %q\nwant %q %q", i, page, q, gotItems, gotPrefixes, items, prefixes)
		}
	}
}

// listAll walks a listing in pages of that size.
func listAll(it *storage.ObjectIterator, page int) (items, prefixes []string, err error) {
	it.PageInfo().MaxSize = page
	for {
		attrs, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return items, prefixes, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if attrs.Prefix != "" {
			prefixes = append(prefixes, attrs.Prefix)
		} else {
			items = append(items, attrs.Name)
		}
	}
}

// Objects that come and go between two pages change nothing about those that stay.
func TestListPagesWhileObjectsChange(t *testing.T) {
	_, srv := newTestStorage(t, nil)
	b := newTestClient(t, srv).Bucket(testBucket)
	for i := range 10 {
		mustPut(t, b.Object(fmt.Sprint("stays-", i)), nil)
	}
	it := b.Objects(t.Context(), &storage.Query{})
	it.PageInfo().MaxSize = 2
	var got []string
	for i := 0; ; i++ {
		attrs, err := it.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(attrs.Name, "stays-") {
			got = append(got, attrs.Name)
		}
		mustPut(t, b.Object(attrs.Name+"-new"), nil)
		if i > 0 {
			_ = b.Object(fmt.Sprintf("stays-%d-new", i-1)).Delete(t.Context())
		}
	}
	kept := slices.DeleteFunc(got, func(name string) bool { return strings.HasSuffix(name, "-new") })
	if len(kept) != 10 || !slices.IsSorted(kept) {
		t.Errorf("listed %q", kept)
	}
}

// The number of names that an operation compares must not grow with the number of objects by more than its logarithm.
func TestIndexStepsDoNotGrow(t *testing.T) {
	steps := func(objects int) map[string]int {
		n := 0
		x := &index{compare: func(a, b string) int { n++; return strings.Compare(a, b) }}
		name := func(i int) string { return fmt.Sprintf("dir-%03d/%08d", i%100, i) }
		for i := range objects {
			x.set(&object{name: name(i)})
		}
		if x.count != objects {
			t.Fatalf("%d of %d objects", x.count, objects)
		}
		const times = 100
		average := func(f func(i int)) int {
			n = 0
			for i := range times {
				f(i * (objects / times))
			}
			return n / times
		}
		return map[string]int{
			"get":               average(func(i int) { x.get(name(i)) }),
			"set":               average(func(i int) { x.set(&object{name: name(i) + "x"}) }),
			"remove":            average(func(i int) { x.remove(name(i) + "x") }),
			"list 10 objects":   average(func(i int) { x.page(listQuery{after: name(i), limit: 10}) }),
			"list 100 prefixes": average(func(int) { x.page(listQuery{delimiter: "/", limit: maxPage}) }),
		}
	}
	few, many := steps(1000), steps(100_000)
	for operation, n := range many {
		// 100 times as many objects are three levels and a bit more, of a few names each.
		if limit := 3*few[operation] + 30; n > limit {
			t.Errorf("%s: %d comparisons among 100,000 objects, %d among 1,000", operation, n, few[operation])
		}
	}
	t.Logf("comparisons among 1,000 objects %v, among 100,000 %v", few, many)
}

func TestIndexAgreesWithAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var x index
	model := map[string]*object{}
	for range 20_000 {
		name := fmt.Sprint(rng.IntN(500))
		switch rng.IntN(3) {
		case 0:
			x.remove(name)
			delete(model, name)
		default:
			o := &object{name: name}
			if old := x.set(o); old != model[name] {
				t.Fatalf("set %q replaced %v, want %v", name, old, model[name])
			}
			model[name] = o
		}
	}
	var walked []string
	for n := x.seek(""); n != nil; n = n.next[0] {
		walked = append(walked, n.object.name)
		if x.get(n.object.name) != model[n.object.name] {
			t.Fatalf("%q is another object", n.object.name)
		}
	}
	if !slices.IsSorted(walked) || len(walked) != len(model) || x.count != len(model) {
		t.Errorf("walked %d, counted %d, want %d in order", len(walked), x.count, len(model))
	}
}
