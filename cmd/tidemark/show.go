package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// shown is what show prints with --json. Its parts are a list here, as in the flags' contract; the other figures are those of ls.
type shown struct {
	Checkpoint  uint64         `json:"checkpoint"`
	Job         string         `json:"job"`
	Epoch       uint64         `json:"epoch"`
	CommittedAt time.Time      `json:"committed_at"`
	Bytes       int64          `json:"bytes"`
	NewBytes    int64          `json:"new_bytes"`
	MovedBytes  int64          `json:"moved_bytes"`
	StoredBytes int64          `json:"stored_bytes"`
	Tags        []string       `json:"tags"`
	Seconds     float64        `json:"seconds"`
	Requests    requests       `json:"requests"`
	Space       shownSpace     `json:"space"`
	Metadata    map[string]any `json:"metadata"`
	Parts       []shownPart    `json:"parts"`
}

type shownPart struct {
	Name       string     `json:"name"`
	Kind       string     `json:"kind"`
	Bytes      int64      `json:"bytes"`
	NewBytes   int64      `json:"new_bytes"`
	MovedBytes int64      `json:"moved_bytes"`
	Chunks     int64      `json:"chunks"`
	Mode       string     `json:"mode"`
	Modified   *time.Time `json:"modified"` // null for a stream
	Method     string     `json:"method"`
	Reason     string     `json:"reason"`
}

// shownSpace is what the checkpoint keeps in the store.
type shownSpace struct {
	Packs     int64 `json:"packs"`
	Bytes     int64 `json:"bytes"`
	DeadBytes int64 `json:"dead_bytes"`
}

// encoded is a value of metadata that is not text.
type encoded struct {
	Base64 []byte `json:"base64"`
}

func newShowCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show STORE [C]",
		Short: "Show one checkpoint: parts, sizes, metadata, and the cost of its save",
		Long: `Show one checkpoint (default: the latest): its parts with what was new in each, how each was saved and why so, the
job's own metadata, and what the save took. With --json, metadata that is not text is {"base64": "..."}.`,
		Example: `  tidemark show file:///tmp/checkpoints --job orders
  tidemark show file:///tmp/checkpoints -1 --job orders --json`,
	}
	a.jobFlag(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, rest []string) error {
		return a.withJob(ctx, storeURL, func(_ *tidemark.Store, job *checkpoint.Job) error {
			c, err := job.Find(ctx, checkpointOrLatest(rest))
			if err != nil {
				return err
			}
			parts, err := c.Parts(ctx)
			if err != nil {
				return err
			}
			metadata, err := c.Metadata(ctx)
			if err != nil {
				return err
			}
			space, err := c.Space(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(shownOf(c.Info(), parts, metadata, space))
			}
			return a.showTable(c.Info(), parts, metadata, space)
		})
	})
}

func shownOf(info checkpoint.Info, parts []checkpoint.PartInfo, metadata map[string][]byte, space checkpoint.Space) shown {
	s := shown{
		Checkpoint: info.Checkpoint, Job: info.Job, Epoch: info.Epoch, CommittedAt: info.CommittedAt, Bytes: info.Bytes,
		NewBytes: info.NewBytes, MovedBytes: info.MovedBytes, StoredBytes: info.StoredBytes, Space: shownSpace{space.Packs, space.Bytes, space.Dead}, Tags: tagsOf(info), Seconds: info.Duration.Seconds(),
		Requests: requestsOf(info.Requests), Metadata: map[string]any{}, Parts: []shownPart{},
	}
	for key, value := range metadata {
		if utf8.Valid(value) {
			s.Metadata[key] = string(value)
		} else {
			s.Metadata[key] = encoded{value}
		}
	}
	for _, p := range parts {
		part := shownPart{
			Name: p.Name, Kind: string(p.Kind), Bytes: p.Bytes, NewBytes: p.NewBytes, MovedBytes: p.MovedBytes, Chunks: p.Chunks, Mode: p.Mode.String(),
			Method: p.Method, Reason: p.Reason,
		}
		if !p.Modified.IsZero() {
			part.Modified = &p.Modified
		}
		s.Parts = append(s.Parts, part)
	}
	return s
}

// metadataShown bounds how much of one value people are shown; --json has all of it.
const metadataShown = 100

func (a *app) showTable(info checkpoint.Info, parts []checkpoint.PartInfo, metadata map[string][]byte, space checkpoint.Space) error {
	tags := ""
	if len(info.Tags) > 0 {
		tags = ", tagged " + strings.Join(info.Tags, ", ")
	}
	err := a.printf("checkpoint %d of job %s, epoch %d, committed %s%s\n%s in %s: %s new, %s stored, saved in %s with %s and the commit\n",
		info.Checkpoint, info.Job, info.Epoch, humanAgo(time.Now(), info.CommittedAt), tags,
		humanBytes(info.Bytes), plural(info.Parts, "part"), humanBytes(info.NewBytes), humanBytes(info.StoredBytes),
		humanDuration(info.Duration), requestsOf(info.Requests))
	if err != nil {
		return err
	}
	moved := ""
	if info.MovedBytes > 0 {
		moved = fmt.Sprintf("; %s were moved so that older ones could go", humanBytes(info.MovedBytes))
	}
	if err := a.printf("needs %s of %s: %s, of which %s are dead%s\n", humanBytes(space.Bytes-space.Dead), plural(space.Packs, "pack"), humanBytes(space.Bytes),
		humanBytes(space.Dead), moved); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		value := metadata[key]
		text, more := value, ""
		if len(text) > metadataShown {
			text, more = text[:metadataShown], fmt.Sprintf("... (%s)", humanBytes(int64(len(value))))
		}
		if err := a.printf("metadata %s = %s%s\n", key, strconv.Quote(string(text)), more); err != nil {
			return err
		}
	}
	rows := make([][]string, len(parts))
	for i, p := range parts {
		rows[i] = []string{p.Name, string(p.Kind), humanBytes(p.Bytes), humanBytes(p.NewBytes), fmt.Sprint(p.Chunks), p.Method, p.Reason}
	}
	if err := a.printf("\n"); err != nil {
		return err
	}
	return a.table([]string{"PART", "KIND", ">SIZE", ">NEW", ">CHUNKS", "METHOD", "WHY"}, rows)
}
