package format

// When compression of a part's chunks does not pay, a Compressor tries fewer of them.
const (
	// giveUpAfter chunks in a row that did not pay: fewer would let a header of noise decide over a file of text.
	giveUpAfter = 4
	// retryEvery bounds what is lost either way: a sixteenth of the effort where nothing pays, fifteen chunks where the content changes its kind.
	retryEvery = 16
)

// Compressor makes frames of one part's chunks. It switches itself off where compression does not pay: after 4 chunks in a row that did not, it
// tries only every 16th; the first that pays switches it on again. Not safe for concurrent use.
type Compressor struct {
	Codec   Codec // what to try
	misses  int   // tries in a row that did not pay
	skipped int   // chunks since the last try
}

// AppendFrame is the function AppendFrame, or stores the content as it is where nothing is expected of compression.
func (c *Compressor) AppendFrame(dst, content, scratch []byte) (frame, grown []byte) {
	if c.Codec == CodecNone || len(content) < minCompressed {
		return AppendFrame(dst, content, scratch, CodecNone)
	}
	if c.misses >= giveUpAfter && c.skipped < retryEvery-1 {
		c.skipped++
		return AppendFrame(dst, content, scratch, CodecNone)
	}
	start := len(dst)
	dst, scratch = AppendFrame(dst, content, scratch, c.Codec)
	c.skipped = 0
	if Codec(dst[start]) == CodecNone {
		c.misses++
	} else {
		c.misses = 0
	}
	return dst, scratch
}
