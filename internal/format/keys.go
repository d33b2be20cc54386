package format

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
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

	maxJobName  = 200
	maxPartName = 4096
)

// HeadKey is the key of a job's HEAD.
func HeadKey(job string) string { return job + "/HEAD" }

// ManifestPrefix and DataPrefix are where a job's immutable objects are listed.
func ManifestPrefix(job string) string { return job + "/manifests/" }

// DataPrefix is where a job's packs are.
func DataPrefix(job string) string { return job + "/data/" }

// ManifestKey is the key of a checkpoint's manifest.
func ManifestKey(job string, id *CheckpointID, nonce []byte) string {
	return fmt.Sprintf("%s/manifests/%0*d-%0*d-%x", job, numberWidth, id.GetEpoch(), numberWidth, id.GetCheckpoint(), nonce)
}

// PackKey is the key of a pack that is an object of its own.
func PackKey(job string, o *Object) string {
	return fmt.Sprintf("%s/data/%0*d/%0*d/%s-%06d-%x", job, numberWidth, o.GetId().GetEpoch(), numberWidth, o.GetId().GetCheckpoint(),
		url.PathEscape(o.GetWriter()), o.GetNumber(), o.GetNonce())
}

// ObjectKey is where a pack's bytes are: the object's key and the offset of the pack in it. selfNonce and selfSize describe the manifest
// object that o was read from.
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
	Manifest          bool
	Nonce             Nonce
}

// ParseKey reads a key below the job's manifests/ or data/; false for one that tidemark did not make.
func ParseKey(job, key string) (Name, bool) {
	if rest, ok := strings.CutPrefix(key, ManifestPrefix(job)); ok {
		f := strings.Split(rest, "-")
		if len(f) != 3 {
			return Name{}, false
		}
		return parseName(f[0], f[1], f[2], true)
	}
	rest, ok := strings.CutPrefix(key, DataPrefix(job))
	if !ok {
		return Name{}, false
	}
	f := strings.Split(rest, "/")
	if len(f) != 3 {
		return Name{}, false
	}
	i := strings.LastIndexByte(f[2], '-')
	if i < 0 {
		return Name{}, false
	}
	return parseName(f[0], f[1], f[2][i+1:], false)
}

func parseName(epoch, checkpoint, nonce string, manifest bool) (Name, bool) {
	n := Name{Manifest: manifest}
	var ok bool
	if n.Epoch, ok = parseNumber(epoch); !ok {
		return Name{}, false
	}
	if n.Checkpoint, ok = parseNumber(checkpoint); !ok {
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

func parseNumber(s string) (uint64, bool) {
	if len(s) != numberWidth {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// CheckJobName refuses what is not one harmless path segment.
func CheckJobName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a job needs a name")
	case len(name) > maxJobName:
		return fmt.Errorf("job name of %d bytes; at most %d are allowed", len(name), maxJobName)
	case name == "." || name == "..":
		return fmt.Errorf("job name %q is a path, not a name", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("job name %q is not valid UTF-8", name)
	case strings.ContainsAny(name, `/\`):
		return fmt.Errorf("job name %q contains a path separator; a job name is one path segment", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("job name %q contains a control character", name)
	}
	return nil
}

// CheckPartName refuses names that could leave the directory that they are restored into.
func CheckPartName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a part needs a name")
	case len(name) > maxPartName:
		return fmt.Errorf("part name of %d bytes; at most %d are allowed", len(name), maxPartName)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("part name %q contains a zero byte", name)
	}
	for seg := range strings.SplitSeq(name, "/") {
		if seg == "" || seg == "." || seg == ".." {
			return fmt.Errorf("part name %q is not a plain relative path (segment %q)", name, seg)
		}
	}
	return nil
}
