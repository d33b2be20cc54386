package main

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/tidemark-go/tidemark/internal/crash"
)

// TestPowerCutAtEveryFileChange cuts the power after every system call of the command that changes a file of the store's directory, and at its end. Of what was not
// synced then, four things are tried: nothing survives; the names do, with empty files behind them; and chance decides of each, twice.
func TestPowerCutAtEveryFileChange(t *testing.T) {
	startsMany(t)
	for _, verb := range crashVerbs {
		t.Run(verb.name, func(t *testing.T) {
			p := newPlayground(t, verb)
			dir := p.fresh(t)
			disk, err := crash.NewDisk(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := disk.Close(); err != nil {
					t.Error(err)
				}
			}()
			var images []crash.Image
			calls := 0
			cut := func() {
				for _, image := range powerCuts(t, disk, uint64(calls)) {
					if !slices.ContainsFunc(images, image.Same) {
						images = append(images, image)
						verb.judgeImage(t, image, false)
					}
				}
			}
			end := traced(t, verb.command(fileURL(dir), p.state), func(c crash.Call) bool {
				if err := disk.Watch(c); err != nil {
					t.Error(err)
				}
				if c.Done {
					calls++
					cut()
				}
				return !t.Failed()
			})
			if end.Killed {
				t.Fatalf("after call %d", calls)
			}
			for _, image := range powerCuts(t, disk, uint64(calls)) {
				verb.judgeImage(t, image, true)
			}
			if calls < verb.min || len(images) < 2 {
				t.Errorf("only %d images after %d calls", len(images), calls)
			}
			t.Logf("%d images after %d calls", len(images), calls)
		})
	}
}

func powerCuts(t *testing.T, disk *crash.Disk, seed uint64) []crash.Image {
	t.Helper()
	var images []crash.Image
	for _, cut := range [][2]crash.Cut{
		{crash.Nothing(), crash.Nothing()}, {crash.Everything(), crash.Nothing()},
		{crash.Chance(2 * seed), crash.Chance(3 * seed)}, {crash.Chance(5 * seed), crash.Nothing()},
	} {
		image, err := disk.PowerCut(cut[0], cut[1])
		if err != nil {
			t.Error(err)
		}
		images = append(images, image)
	}
	return images
}

// judgeImage is judge on what a power cut left.
func (v crashVerb) judgeImage(t *testing.T, image crash.Image, acknowledged bool) {
	t.Helper()
	dir := t.TempDir()
	if err := image.Write(dir); err != nil {
		t.Error(err)
		return
	}
	v.judge(t, fileURL(dir), acknowledged)
	if t.Failed() {
		names := make([]string, 0, len(image))
		for name := range image {
			names = append(names, name)
		}
		slices.Sort(names)
		t.Logf("the power was cut while %s ran; it left, in %s:", v.name, filepath.Base(dir))
		for _, name := range names {
			t.Logf("  %s (%d bytes)", name, len(image[name]))
		}
	}
}
