package demo

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	bolt "go.etcd.io/bbolt"
)

var (
	bucketMeta    = []byte("meta")
	bucketKeys    = []byte("keys")
	bucketWindows = []byte("windows")
	fieldSequence = []byte("sequence")
)

// state is what the job knows after the records up to sequence: aggregates by key, and by window and key, in a file database,
// and tallies by pair in a map. Both halves name their sequence, so that a checkpoint that mixed two moments would show.
type state struct {
	schema   schema
	db       *bolt.DB
	pairs    map[string]tally
	sequence uint64
}

// openState opens the database at path, creating it if need be. The map starts empty; loadPairs fills it.
func openState(path string, s schema) (*state, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		// A worker's files die with it and only checkpoints survive: syncing them would buy nothing.
		NoSync: true,
		// The list of free pages can be found again; written down it would be a changed page in every checkpoint.
		NoFreelistSync: true,
		// That of the checkpoint's page comparison, whatever this machine's is.
		PageSize: 4096,
	})
	if err != nil {
		return nil, fmt.Errorf("open the job's database: %w", err)
	}
	st := &state{schema: s, db: db, pairs: map[string]tally{}}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketKeys, bucketWindows} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		if v := tx.Bucket(bucketMeta).Get(fieldSequence); len(v) == 8 {
			st.sequence = binary.BigEndian.Uint64(v)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the job's database: %w", err), db.Close())
	}
	return st, nil
}

func (s *state) close() error { return s.db.Close() }

// apply adds records, which have to follow on what was applied before, in one transaction.
func (s *state) apply(records []record) error {
	if len(records) == 0 {
		return nil
	}
	next := s.sequence
	for _, r := range records {
		if r.sequence != next+1 {
			return fmt.Errorf("record %d after record %d: the stream skipped or repeated", r.sequence, next)
		}
		next = r.sequence
	}
	err := s.db.Update(func(tx *bolt.Tx) error {
		keys, windows := tx.Bucket(bucketKeys), tx.Bucket(bucketWindows)
		for _, r := range records {
			if err := s.addTo(keys, []byte(r.key), r); err != nil {
				return err
			}
			if err := s.addTo(windows, []byte(r.window+"\x00"+r.key), r); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(fieldSequence, binary.BigEndian.AppendUint64(nil, next))
	})
	if err != nil {
		return fmt.Errorf("update the job's database: %w", err)
	}
	for _, r := range records {
		t := s.pairs[r.pair]
		t.add(r)
		s.pairs[r.pair] = t
	}
	s.sequence = next
	return nil
}

func (s *state) addTo(b *bolt.Bucket, key []byte, r record) error {
	a := newAggregate(len(s.schema.Numbers))
	if v := b.Get(key); v != nil {
		var err error
		if a, err = decodeAggregate(v, len(s.schema.Numbers)); err != nil {
			return err
		}
	}
	a.add(r)
	return b.Put(key, a.encode())
}

// copyTo writes a consistent copy of the database in which unchanged pages keep their place, which is what makes the next
// checkpoint small.
func (s *state) copyTo(path string) error {
	if err := s.db.View(func(tx *bolt.Tx) error { return tx.CopyFile(path, 0o600) }); err != nil {
		return fmt.Errorf("copy the job's database: %w", err)
	}
	return nil
}

// The map travels as JSON lines, sorted, so that a person can read it and equal maps are equal bytes.
type (
	pairsHeader struct {
		Sequence uint64 `json:"sequence"`
		Pairs    int    `json:"pairs"`
	}
	pairsLine struct {
		Pair  string `json:"pair"`
		Count uint64 `json:"count"`
		Hash  string `json:"hash"`
	}
)

func (s *state) encodePairs() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// Neither the writer nor these types can fail.
	_ = enc.Encode(pairsHeader{s.sequence, len(s.pairs)})
	for _, pair := range slices.Sorted(maps.Keys(s.pairs)) {
		t := s.pairs[pair]
		_ = enc.Encode(pairsLine{pair, t.Count, strconv.FormatUint(t.Hash, 16)})
	}
	return b.Bytes()
}

// loadPairs reads what encodePairs wrote, and refuses it if it is not of the database's moment.
func (s *state) loadPairs(r io.Reader) error {
	dec := json.NewDecoder(r)
	var header pairsHeader
	if err := dec.Decode(&header); err != nil {
		return fmt.Errorf("read the job's map: %w", err)
	}
	if header.Sequence != s.sequence {
		return fmt.Errorf("the checkpoint is torn: its map is of record %d, its database of record %d", header.Sequence, s.sequence)
	}
	pairs := make(map[string]tally)
	for range header.Pairs {
		var l pairsLine
		if err := dec.Decode(&l); err != nil {
			return fmt.Errorf("read the job's map: %w", err)
		}
		hash, err := strconv.ParseUint(l.Hash, 16, 64)
		if err != nil {
			return fmt.Errorf("read the job's map: %w", err)
		}
		pairs[l.Pair] = tally{l.Count, hash}
	}
	s.pairs = pairs
	return nil
}

// summary counts what a state holds.
type summary struct {
	Sequence uint64 `json:"sequence"`
	Keys     int    `json:"keys"`
	Windows  int    `json:"windows"`
	Pairs    int    `json:"pairs"`
}

// dump writes everything down, one line each and in order: equal states are equal bytes.
func (s *state) dump(w io.Writer) (summary, error) {
	sum := summary{Sequence: s.sequence, Pairs: len(s.pairs)}
	if _, err := fmt.Fprintf(w, "sequence %d\n", s.sequence); err != nil {
		return sum, err
	}
	err := s.db.View(func(tx *bolt.Tx) error {
		for _, b := range []struct {
			name  []byte
			count *int
		}{{bucketKeys, &sum.Keys}, {bucketWindows, &sum.Windows}} {
			err := tx.Bucket(b.name).ForEach(func(k, v []byte) error {
				*b.count++
				a, err := decodeAggregate(v, len(s.schema.Numbers))
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(w, "%s %q %s\n", b.name, k, a.text(s.schema.Numbers))
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return sum, err
	}
	for _, pair := range slices.Sorted(maps.Keys(s.pairs)) {
		t := s.pairs[pair]
		if _, err := fmt.Fprintf(w, "pairs %q count=%d hash=%016x\n", pair, t.Count, t.Hash); err != nil {
			return sum, err
		}
	}
	return sum, nil
}
