package format

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Every key of a job is made and parsed in this file:
//
//	<job>/HEAD
//	<job>/manifests/<epoch>-<checkpoint>-<nonce>
//	<job>/data/<epoch>/<checkpoint>/<writer>-<n>-<nonce>
//
// Numbers have a fixed width, so that a listing is in order.
const (
	numberWidth = 12
	maxNumber   = 999_999_999_999 // the largest that numberWidth holds; more than 30,000 years of one a second
	packWidth   = 6
	maxPackNo   = 999_999

	// maxEscapedWriter keeps the last segment of a pack's key below the 255 bytes of a file system's name.
	maxEscapedWriter = 200
)

// HeadKey is the key of a job's HEAD.
func HeadKey(job string) string { return job + "/HEAD" }

// ManifestPrefix is where a job's manifests are.
func ManifestPrefix(job string) string { return job + "/manifests/" }

// DataPrefix is where a job's packs are.
func DataPrefix(job string) string { return job + "/data/" }

// ManifestKey is the key of a checkpoint's manifest.
func ManifestKey(job string, id *CheckpointID, nonce []byte) string {
	return fmt.Sprintf("%s%0*d-%0*d-%x", ManifestPrefix(job), numberWidth, id.GetEpoch(), numberWidth, id.GetCheckpoint(), nonce)
}

// PackKey is the key of a pack that is an object of its own.
func PackKey(job string, o *Object) string {
	return fmt.Sprintf("%s%0*d/%0*d/%s-%0*d-%x", DataPrefix(job), numberWidth, o.GetId().GetEpoch(), numberWidth, o.GetId().GetCheckpoint(),
		escapeWriter(o.GetWriter()), packWidth, o.GetNumber(), o.GetNonce())
}

// ObjectKey is where a pack's bytes are: the object's key and the offset of the pack in it. selfID, selfNonce and selfSize describe the
// manifest object that o was decoded from.
func ObjectKey(job string, o *Object, selfID *CheckpointID, selfNonce []byte, selfSize uint64) (key string, offset int64) {
	if !o.GetEmbedded() {
		return PackKey(job, o), 0
	}
	id, nonce, size := o.GetId(), o.GetManifestNonce(), o.GetManifestSize()
	if len(nonce) == 0 {
		id, nonce, size = selfID, selfNonce, selfSize
	}
	return ManifestKey(job, id, nonce), int64(size - crcSize - o.GetSize())
}

// Name is what a key says of an immutable object.
type Name struct {
	Epoch, Checkpoint uint64
	Manifest          bool   // else a pack
	Writer            string // of a pack
	Number            uint32 // of a pack
	Nonce             Nonce
}

// ParseKey reads a key below the job's manifests/ or data/; false for one that ManifestKey or PackKey did not make.
func ParseKey(job, key string) (Name, bool) {
	if rest, ok := strings.CutPrefix(key, ManifestPrefix(job)); ok {
		f := strings.Split(rest, "-")
		if len(f) != 3 {
			return Name{}, false
		}
		n, ok := parseName(f[0], f[1], f[2])
		n.Manifest = ok
		return n, ok
	}
	rest, ok := strings.CutPrefix(key, DataPrefix(job))
	if !ok {
		return Name{}, false
	}
	f := strings.Split(rest, "/")
	if len(f) != 3 {
		return Name{}, false
	}
	return parsePackName(f[0], f[1], f[2])
}

// parsePackName reads the file name of a pack from its end, because a writer may have dashes.
func parsePackName(epoch, checkpoint, file string) (Name, bool) {
	i := strings.LastIndexByte(file, '-')
	j := strings.LastIndexByte(file[:max(i, 0)], '-')
	if j < 1 {
		return Name{}, false
	}
	n, ok := parseName(epoch, checkpoint, file[i+1:])
	if !ok {
		return Name{}, false
	}
	number, ok := parseNumber(file[j+1:i], packWidth)
	if !ok {
		return Name{}, false
	}
	writer, err := url.PathUnescape(file[:j])
	if err != nil || escapeWriter(writer) != file[:j] || checkWriter(writer) != nil {
		return Name{}, false
	}
	n.Writer, n.Number = writer, uint32(number)
	return n, true
}

// parseName reads what the keys of all kinds have in common.
func parseName(epoch, checkpoint, nonce string) (n Name, ok bool) {
	if n.Epoch, ok = parseNumber(epoch, numberWidth); !ok || n.Epoch == 0 {
		return Name{}, false
	}
	if n.Checkpoint, ok = parseNumber(checkpoint, numberWidth); !ok || n.Checkpoint == 0 {
		return Name{}, false
	}
	if len(nonce) != 2*NonceSize || strings.ToLower(nonce) != nonce {
		return Name{}, false
	}
	if _, err := hex.Decode(n.Nonce[:], []byte(nonce)); err != nil {
		return Name{}, false
	}
	return n, true
}

func parseNumber(s string, width int) (uint64, bool) {
	if len(s) != width {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}
