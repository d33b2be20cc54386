package emulator

import (
	"bytes"
	"crypto/md5"
	"io"
	"slices"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcerrors"
)

// The portable layer over the same client: it declares MD5, pages with delimiters, and maps status to its own codes.
func TestStorageThroughGocloud(t *testing.T) {
	s, srv := newTestStorage(t, &StorageOptions{Forbid: func(_, _, object string) (string, bool) { return "", object == "secret" }})
	b, err := gcsblob.OpenBucket(t.Context(), nil, testBucket, &gcsblob.Options{Client: newTestClient(t, srv)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx := t.Context()
	body := noise(700 << 10)
	for _, key := range []string{"a/1", "a/2", "a/b/3", "z", "odd\nname/../x"} {
		if err := b.WriteAll(ctx, key, body, &blob.WriterOptions{BufferSize: 256 << 10, Metadata: map[string]string{"k": "v"}}); err != nil {
			t.Fatalf("write %q: %v", key, err)
		}
		if got, err := b.ReadAll(ctx, key); err != nil || !bytes.Equal(got, body) {
			t.Errorf("read %q: %d bytes, %v", key, len(got), err)
		}
	}
	sum := md5.Sum(body)
	attrs, err := b.Attributes(ctx, "a/1")
	if err != nil || !bytes.Equal(attrs.MD5, sum[:]) || attrs.Size != int64(len(body)) || attrs.Metadata["k"] != "v" || attrs.ModTime.IsZero() {
		t.Errorf("attributes: %+v, %v", attrs, err)
	}
	r, err := b.NewRangeReader(ctx, "z", 1000, 99, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body[1000:1099]) || r.Size() != int64(len(body)) {
		t.Errorf("range: %d bytes of %d, %v", len(got), r.Size(), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Copy(ctx, "copy", "a/1", nil); err != nil {
		t.Error(err)
	}

	var keys []string
	token := blob.FirstPageToken
	for token != nil {
		page, next, err := b.ListPage(ctx, token, 2, &blob.ListOptions{Delimiter: "/"})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page {
			keys = append(keys, o.Key)
		}
		token = next
	}
	if want := []string{"a/", "copy", "odd\nname/", "z"}; !slices.Equal(keys, want) {
		t.Errorf("listed %q, want %q", keys, want)
	}

	if err := b.WriteAll(ctx, "z", body, &blob.WriterOptions{IfNotExist: true}); gcerrors.Code(err) != gcerrors.FailedPrecondition {
		t.Errorf("create what exists: %v", err)
	}
	wrong := md5.Sum([]byte("other"))
	if err := b.WriteAll(ctx, "new", body, &blob.WriterOptions{ContentMD5: wrong[:]}); err == nil {
		t.Error("a wrong MD5 was taken")
	}
	if err := b.Delete(ctx, "z"); err != nil {
		t.Error(err)
	}
	if _, err := b.ReadAll(ctx, "z"); gcerrors.Code(err) != gcerrors.NotFound {
		t.Errorf("read of a deleted object: %v", err)
	}
	// Trap 1: gocloud says NotFound for 403, and only the error below it tells.
	_, err = b.ReadAll(ctx, "secret")
	wantStatus(t, err, 403)
	if left := s.Objects(testBucket); len(left) != 5 {
		t.Errorf("stored: %v", left)
	}
}
