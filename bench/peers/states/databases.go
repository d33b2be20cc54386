package main

import (
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/bbolt"
	_ "modernc.org/sqlite" // the driver
)

// pebbleState is a log-structured merge tree without a log: a flush and a checkpoint are its snapshot, in which tables are hard links.
type pebbleState struct{ db *pebble.DB }

func openPebble(live string, _ int) (state, error) {
	o := &pebble.Options{DisableWAL: true, Logger: quiet{}}
	// With its defaults it rewrites far more than was changed.
	o.L0CompactionThreshold = 8
	o.LBaseMaxBytes = 8 << 20
	db, err := pebble.Open(live, o)
	return &pebbleState{db}, err
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	pebble.DefaultLogger.Fatalf(format, args...)
}

func (s *pebbleState) put(rows []row) error {
	b := s.db.NewBatch()
	for _, r := range rows {
		if err := b.Set(r.key, r.value, nil); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	return b.Commit(pebble.NoSync)
}

func (s *pebbleState) snapshot(dir string) error {
	return errors.Join(s.db.Flush(), s.db.Checkpoint(dir), s.db.Close())
}

// sqliteState is one file of pages that change in place, copied as it is once its log is in it.
type sqliteState struct {
	db   *sql.DB
	file string
}

func openSQLite(live string, _ int) (state, error) {
	file := filepath.Join(live, "state.db")
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		return nil, err
	}
	_, err = db.Exec("CREATE TABLE IF NOT EXISTS state (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
	return &sqliteState{db, file}, err
}

func (s *sqliteState) put(rows []row) (err error) {
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	insert, err := tx.Prepare("INSERT OR REPLACE INTO state VALUES (?, ?)")
	if err != nil {
		return err
	}
	for _, r := range rows {
		if _, err := insert.Exec(r.key, r.value); err != nil {
			return err
		}
	}
	return errors.Join(insert.Close(), tx.Commit())
}

func (s *sqliteState) snapshot(dir string) error {
	_, err := s.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	return errors.Join(err, s.db.Close(), copyFile(s.file, dir))
}

func copyFile(file, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := os.Create(filepath.Join(dir, filepath.Base(file)))
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// boltState is a tree of pages that are copied on write, and a transaction that copies them all.
type boltState struct{ db *bbolt.DB }

var boltBucket = []byte("state")

func openBolt(live string, _ int) (state, error) {
	db, err := bbolt.Open(filepath.Join(live, "state.bolt"), 0o644, &bbolt.Options{NoSync: true, NoFreelistSync: true})
	return &boltState{db}, err
}

func (s *boltState) put(rows []row) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(boltBucket)
		for _, r := range rows {
			if err == nil {
				err = b.Put(r.key, r.value)
			}
		}
		return err
	})
}

func (s *boltState) snapshot(dir string) error {
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = s.db.View(func(tx *bbolt.Tx) error { return tx.CopyFile(filepath.Join(dir, "state.bolt"), 0o644) })
	}
	return errors.Join(err, s.db.Close())
}
