package filestore

import (
	"encoding/hex"

	"github.com/zeebo/blake3"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// versionOf names a state of an object by what is in it. Comparing versions under the lock is then comparing contents, which
// is right even when a version returns ("ABA"): the object is again exactly what the caller read. No counter or
// timestamp beside the file could get out of step with it, and a directory that was copied keeps its versions.
//
// It must be a cryptographic hash and not a CRC: HEAD ends in its own CRC32C, which gives every HEAD the same CRC32C.
func versionOf(body []byte) objstore.Version {
	sum := blake3.Sum256(body)
	return objstore.Version(hex.EncodeToString(sum[:16]))
}
