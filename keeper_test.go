package tidemark_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// testKey is 32 bytes in URL-safe base64.
const testKey = "smGbjm71Nxd1Ig5FS0wj9SlbzAIrnolCz9bQQ6uAhl4="

func TestEncryptionKeyURL(t *testing.T) {
	ctx := context.Background()
	open := func(key string) (*tidemark.Store, error) {
		return tidemark.Open(ctx, "mem://encryption-key-url", &tidemark.Options{EncryptionKeyURL: key})
	}
	for _, bad := range []string{"base64key://", "base64key://dG9vIHNob3J0", "nokms://secret-material", "secret-material", "base64key://secret-material\x7f", "base64key://" + testKey + "?x=secret-material"} {
		_, err := open(bad)
		var e *checkpoint.Error
		if !errors.As(err, &e) || e.Hint == "" || strings.Contains(fmt.Sprint(err, e.Hint), "secret-material") || strings.Contains(err.Error(), testKey) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	sealed, err := open("base64key://" + testKey)
	if err != nil {
		t.Fatal(err)
	}
	save := func(w *checkpoint.Writer) error { return w.Add("a", strings.NewReader("1")) }
	if _, err := sealed.Save(ctx, "j", save, nil); err != nil {
		t.Fatal(err)
	}
	if err := sealed.Close(); err != nil {
		t.Fatal(err)
	}
	plain, err := open("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	if _, err := plain.Save(ctx, "j", save, nil); !errors.Is(err, checkpoint.ErrCredentials) || !strings.Contains(err.Error(), `"base64key"`) || strings.Contains(err.Error(), testKey) {
		t.Errorf("without the key: %v", err)
	}
}

// State that nobody can read who has the bucket but not the key. In production the key is a key service's: import its driver of gocloud.dev/secrets, and
// name the key, as in gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K.
func ExampleOpen_encrypted() {
	ctx := context.Background()
	store, err := tidemark.Open(ctx, "mem://encrypted", &tidemark.Options{EncryptionKeyURL: "base64key://" + testKey})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	_, err = store.Save(ctx, "orders", func(w *checkpoint.Writer) error { return w.Add("totals", strings.NewReader("sum=10")) }, nil)
	if err != nil {
		log.Fatal(err)
	}
	job, err := store.Job("orders")
	if err != nil {
		log.Fatal(err)
	}
	last, err := job.Latest(ctx)
	if err != nil {
		log.Fatal(err)
	}
	part, err := last.Open(ctx, "totals")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = part.Close() }()
	content, err := io.ReadAll(part)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(content))
	// Output: sum=10
}
