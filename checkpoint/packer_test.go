package checkpoint

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/tidemark-go/tidemark/internal/format"
)

// A frame has its place in a pack before its bytes are there. A pack that were sealed in between would be stored with a hole, and its checksum would say that this is right.
func TestPackIsSealedWhenAllFramesAreInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := noise(1, 5000)
		frame, _ := format.AppendFrame(nil, content, nil, format.CodecNone)
		buf := make([]byte, 64<<10)
		o := &openPack{PackBuilder: format.NewPackBuilder(buf, newNonce(), nil), buf: buf, object: new(format.Object)}
		offset, space := o.Reserve(len(frame), format.PackFrame{Kind: format.PackEntry_CHUNK, Raw: len(content), Hash: format.Sum(content), Part: &format.Part{Name: []byte("a"), Kind: format.Part_STREAM}})
		o.placing.Add(1)
		sealed := make(chan []byte, 1)
		go func() {
			body, err := o.seal()
			if err != nil {
				t.Error(err)
			}
			sealed <- bytes.Clone(body)
		}()
		synctest.Wait()
		select {
		case <-sealed:
			t.Error("the pack was sealed while a frame was on its way into it")
		default:
		}
		o.Place(space, frame, offset)
		o.placing.Done()
		if body := <-sealed; !bytes.Contains(body, content) {
			t.Error("the frame is not in the pack")
		}
	})
}
