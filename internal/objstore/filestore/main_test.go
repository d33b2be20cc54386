package filestore

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/storetest"
)

func TestMain(m *testing.M) {
	storetest.Contend(func(dir string) (objstore.Store, error) { return Open(dir, nil) })
	if contend() {
		return
	}
	goleak.VerifyTestMain(m)
}

func openTemp(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "not", "yet"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objstore.Store { return openTemp(t) }, &storetest.Options{
		Address: func(s objstore.Store) string { return s.(*Store).dir },
	})
}
