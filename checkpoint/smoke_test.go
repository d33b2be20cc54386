package checkpoint_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"bytes"
	"math/rand"

	"github.com/tidemark-go/tidemark/checkpoint"
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	for _, u := range []string{"mem://", "file://" + t.TempDir()} {
		s, err := checkpoint.Open(ctx, u, nil)
		if err != nil { t.Fatal(err) }
		dir := t.TempDir()
		r := rand.New(rand.NewSource(1))
		big := make([]byte, 40<<20+123)
		r.Read(big)
		os.WriteFile(filepath.Join(dir, "big"), big, 0o644)
		os.MkdirAll(filepath.Join(dir, "sub/x"), 0o755)
		os.WriteFile(filepath.Join(dir, "sub/x/small"), []byte("hello"), 0o600)
		os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600)
		for i := range 4 {
			info, err := s.Save(ctx, "j", func(w *checkpoint.Writer) error {
				w.SetMetadata("pos", []byte("1"))
				if err := w.Add("stream/x", bytes.NewReader(big[:1<<20])); err != nil { return err }
				return w.AddDir("d", dir)
			}, nil)
			if err != nil { t.Fatal(err) }
			t.Logf("%+v", info)
			_ = i
			j, _ := s.Job("j")
			c, err := j.Latest(ctx)
			if err != nil { t.Fatal(err) }
			out := filepath.Join(t.TempDir(), "o")
			rep, err := c.RestoreDir(ctx, "d", out, nil)
			if err != nil { t.Fatal(err) }
			t.Logf("%+v", rep)
			got, _ := os.ReadFile(filepath.Join(out, "big"))
			if !bytes.Equal(got, big) { t.Fatal("differs") }
			big[r.Intn(len(big))]++
			big = append(big, 1,2,3)
			os.WriteFile(filepath.Join(dir, "big"), big, 0o644)
			v, err := j.Verify(ctx, &checkpoint.VerifyOptions{Data: true})
			t.Logf("%+v %v", v, err)
			if !v.OK() { t.Fatal() }
		}
		j, _ := s.Job("j")
		t.Log(j.Retain(ctx, checkpoint.Retention{KeepLast: 1}, false))
		rep, err := j.Collect(ctx, nil)
		t.Logf("%+v %v", rep, err)
		v, err := j.Verify(ctx, &checkpoint.VerifyOptions{Data: true})
		t.Logf("%+v %v", v, err)
		if !v.OK() { t.Fatal() }
	}
}
