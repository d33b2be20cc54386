package bench

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

const (
	pageSize = 4096 // in which databases change, and the unit of every change here
	rowSize  = 128
	// noiseSize is how much of a row cannot be compressed. The rest shrinks to a few bytes, so that state takes about half.
	noiseSize = 54
)

var words = []string{"delivered", "cancelled", "in transit", "returned", "customs hold", "picked up", "out for delivery", "awaiting payment"}

// dataset is a directory of files full of rows, the same ones for the same seed. Each page of each file has a version; version 0 is how
// the files were created.
type dataset struct {
	dir   string
	seed  uint64
	files int
	pages int // of each file
	fan   int // files of one subdirectory; 0: no subdirectories

	changed []pageRef // that are not at version 0
}

type pageRef struct{ file, page int }

// name is a file's name below the directory.
func (d *dataset) name(file int) string {
	if d.fan == 0 {
		return fmt.Sprintf("block-%05d.dat", file)
	}
	return filepath.Join(fmt.Sprintf("part-%04d", file/d.fan), fmt.Sprintf("key-%06d.dat", file))
}

func (d *dataset) bytes() int64 { return int64(d.files) * int64(d.pages) * pageSize }

// fillPage makes the content of a page: rows as a keyed state has them, a key, a time, counters, a word, and a payload that
// looks random because it is encrypted or compressed already.
func (d *dataset) fillPage(b []byte, at pageRef, version int) {
	serial := uint64(at.file)*uint64(d.pages) + uint64(at.page)
	rng := rand.NewPCG(d.seed^uint64(version)<<56, serial)
	key := serial * uint64(pageSize/rowSize)
	for row := b[:0]; len(row) < len(b); key++ {
		start := len(row)
		row = append(row, "order/"...)
		row = fmt.Appendf(row, "%012d", key)
		row = binary.LittleEndian.AppendUint64(row, 1_700_000_000_000_000_000+key*1_000_003) // one a millisecond
		r := rng.Uint64()
		row = binary.LittleEndian.AppendUint32(row, uint32(r%1000))
		row = binary.LittleEndian.AppendUint32(row, uint32(version))
		row = append(row, words[r>>32%uint64(len(words))]...)
		row = row[: start+rowSize-noiseSize : len(b)]
		for len(row) < start+rowSize {
			row = binary.LittleEndian.AppendUint64(row, rng.Uint64())[:min(len(row)+8, start+rowSize)]
		}
	}
}

// create writes all files.
func (d *dataset) create() error {
	for file := range d.files {
		if err := d.writeFile(file, 0); err != nil {
			return fmt.Errorf("bench: make the state: %w", err)
		}
	}
	return nil
}

// writeFile puts a file of that version in the place of another, as programs that write whole files do.
func (d *dataset) writeFile(file, version int) error {
	name := filepath.Join(d.dir, d.name(file))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name + "~")
	if err != nil {
		return err
	}
	b := make([]byte, min(d.pages, 256)*pageSize)
	for page := 0; page < d.pages && err == nil; page += len(b) / pageSize {
		n := min(d.pages-page, len(b)/pageSize)
		for i := range n {
			clear(b[i*pageSize : (i+1)*pageSize])
			d.fillPage(b[i*pageSize:(i+1)*pageSize], pageRef{file, page + i}, version)
		}
		_, err = f.Write(b[:n*pageSize])
	}
	if d.fan == 0 && err == nil { // written back now, and not during somebody's turn
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(name+"~", name)
}

// writePages changes pages in their place.
func (d *dataset) writePages(refs []pageRef, version int) error {
	slices.SortFunc(refs, func(a, b pageRef) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.page, b.page)) })
	b := make([]byte, pageSize)
	for len(refs) > 0 {
		file := refs[0].file
		f, err := os.OpenFile(filepath.Join(d.dir, d.name(file)), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		for len(refs) > 0 && refs[0].file == file && err == nil {
			clear(b)
			d.fillPage(b, refs[0], version)
			_, err = f.WriteAt(b, int64(refs[0].page)*pageSize)
			refs = refs[1:]
		}
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// touchPages changes a share of all pages, chosen at random, and at least one.
func (d *dataset) touchPages(share float64, version int) error {
	rng := rand.New(rand.NewPCG(d.seed, uint64(version)))
	total := d.files * d.pages
	refs := make([]pageRef, 0, max(1, int(share*float64(total))))
	for seen := map[int]bool{}; len(refs) < cap(refs); {
		n := rng.IntN(total)
		if !seen[n] {
			seen[n] = true
			refs = append(refs, pageRef{n / d.pages, n % d.pages})
		}
	}
	d.changed = append(d.changed, refs...)
	return d.writePages(refs, version)
}

// replaceFiles replaces n files, evenly spread.
func (d *dataset) replaceFiles(n, version int) error {
	for i := range n {
		file := i * d.files / n
		for page := range d.pages {
			d.changed = append(d.changed, pageRef{file, page})
		}
		if err := d.writeFile(file, version); err != nil {
			return err
		}
	}
	return nil
}

// revert undoes every change.
func (d *dataset) revert() error {
	err := d.writePages(d.changed, 0)
	d.changed = nil
	return err
}

// sameTree compares every byte of the regular files of two directories.
func sameTree(want, got string) error {
	var names []string
	walk := func(dir string, visit func(name string) error) error {
		return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			below, err := filepath.Rel(dir, name)
			return errors.Join(err, visit(below))
		})
	}
	count := 0
	if err := walk(want, func(name string) error { names = append(names, name); return nil }); err != nil {
		return err
	}
	if err := walk(got, func(string) error { count++; return nil }); err != nil {
		return err
	}
	if count != len(names) {
		return fmt.Errorf("%d files were restored, %d were saved", count, len(names))
	}
	a, b := make([]byte, 256<<10), make([]byte, 256<<10)
	for _, name := range names {
		if err := sameFile(filepath.Join(want, name), filepath.Join(got, name), a, b); err != nil {
			return fmt.Errorf("file %s: %w", name, err)
		}
	}
	return nil
}

func sameFile(want, got string, a, b []byte) error {
	f, err := os.Open(want)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	g, err := os.Open(got)
	if err != nil {
		return err
	}
	defer func() { _ = g.Close() }()
	for {
		n, errF := io.ReadFull(f, a)
		m, errG := io.ReadFull(g, b)
		if !bytes.Equal(a[:n], b[:m]) {
			return errors.New("what was restored differs from what was saved")
		}
		if errF != nil || errG != nil {
			if isEOF(errF) && isEOF(errG) {
				return nil
			}
			return errors.Join(errF, errG)
		}
	}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// compressibility is what the state shrinks to, as a share, by the two codecs that savers use.
func compressibility() (asS2, asZstd float64) {
	const pages = 256
	d := dataset{seed: benchSeed, files: 1, pages: pages}
	b := make([]byte, pages*pageSize)
	for i := range pages {
		d.fillPage(b[i*pageSize:(i+1)*pageSize], pageRef{0, i}, 0)
	}
	asS2 = float64(len(s2.Encode(nil, b))) / float64(len(b))
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		return asS2, 0
	}
	defer func() { _ = enc.Close() }() // it wrote to memory
	return asS2, float64(len(enc.EncodeAll(b, nil))) / float64(len(b))
}
