package demo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// compare runs the job once more without a kill, and judges.
func (s *supervisor) compare(ctx context.Context, dir string) (*Result, error) {
	started, reference := time.Now(), filepath.Join(dir, "reference.txt")
	if err := runReference(ctx, s.job, dir, reference); err != nil {
		return nil, fmt.Errorf("run the job without kills: %w", err)
	}
	s.screen.compared(s.job.Records, time.Since(started))

	r := &Result{
		Records: int(s.job.Records), Checkpoints: s.seen.checkpoints, Kills: s.seen.kills, CommitKills: s.seen.commitKills,
		Restores: s.seen.restores, Replayed: s.seen.replayed, TokenLives: s.seen.lives, MostFetches: s.seen.mostFetches,
		Clients: s.seen.clients, Workers: s.current, Bytes: s.seen.bytes, NewBytes: s.seen.newBytes, StoredBytes: s.seen.storedBytes,
		State: s.seen.summary, Credentials: s.seen.credentials, Problems: []string{}, counted: s.cloud != nil,
	}
	if s.cloud != nil {
		r.TokenFetches = int(s.cloud.Metadata().Stats().TokenRequests)
	}
	for _, d := range []struct {
		to   *string
		path string
	}{{&r.Digest, s.job.Live}, {&r.RestoredDigest, s.job.Restored}, {&r.ReferenceDigest, reference}} {
		var err error
		if *d.to, err = digest(d.path); err != nil {
			return nil, err
		}
	}
	for _, d := range [][2]string{{"killed", s.job.Live}, {"restored", s.job.Restored}} {
		difference, err := firstDifference("never killed", reference, d[0], d[1])
		if err != nil {
			return nil, err
		}
		if difference != "" {
			r.Problems = append(r.Problems, difference)
		}
	}
	r.ExactlyOnce = len(r.Problems) == 0
	if r.Kills < len(s.plan) {
		r.Problems = append(r.Problems, fmt.Sprintf("only %d of %d kills came before the job was done", r.Kills, len(s.plan)))
	}
	if r.Restores != r.Kills {
		r.Problems = append(r.Problems, fmt.Sprintf("%d kills, but %d restores", r.Kills, r.Restores))
	}
	if r.MostFetches > maxFetches {
		r.Problems = append(r.Problems, fmt.Sprintf("%d fetches in one token's life; %d are promised at most", r.MostFetches, maxFetches))
	}
	r.OK = len(r.Problems) == 0
	return r, nil
}

// runReference is the job as it would have been: the same code over the same stream from its first record, never killed, never
// restored, without a store. It writes its final state to dump.
func runReference(ctx context.Context, a assignment, dir, dump string) (err error) {
	source, err := openSource(ctx, a.Broker)
	if err != nil {
		return err
	}
	defer source.close()
	if err := source.seek(ctx, source.at(0)); err != nil {
		return err
	}
	s, err := openState(filepath.Join(dir, "reference.db"), a.Schema)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	w := &worker{assignment: a, source: source, state: s}
	for s.sequence < a.Records {
		if err := w.advance(ctx, min(a.Records, s.sequence+maxBatch)); err != nil {
			return err
		}
	}
	_, err = dumpTo(dump, s)
	return err
}

// digest is the SHA-256 of a dump.
func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("compare the states: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("compare the states: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// firstDifference is the first line in which two dumps differ, "" if none does.
func firstDifference(nameA, pathA, nameB, pathB string) (string, error) {
	a, err := os.ReadFile(pathA)
	if err != nil {
		return "", fmt.Errorf("compare the states: %w", err)
	}
	b, err := os.ReadFile(pathB)
	if err != nil {
		return "", fmt.Errorf("compare the states: %w", err)
	}
	if bytes.Equal(a, b) {
		return "", nil
	}
	linesA, linesB := bufio.NewScanner(bytes.NewReader(a)), bufio.NewScanner(bytes.NewReader(b))
	for line := 1; ; line++ {
		moreA, moreB := linesA.Scan(), linesB.Scan()
		if moreA && moreB && linesA.Text() == linesB.Text() {
			continue
		}
		return fmt.Sprintf("the states differ from line %d on:\n  %-12s  %s\n  %-12s  %s", line, nameA, linesA.Text(), nameB, linesB.Text()), nil
	}
}
