package emulator_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/tidemark-go/tidemark/emulator"
)

// A storage server without the rest of the cloud, for a program that needs no credentials. The second writer of a name
// that must not exist is refused.
func ExampleNewStorage() {
	storage := emulator.NewStorage(nil)
	defer func() { _ = storage.Close() }()
	if err := storage.CreateBucket("jobs"); err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(storage)
	defer server.Close()

	create := server.URL + "/upload/storage/v1/b/jobs/o?uploadType=media&ifGenerationMatch=0&name=HEAD"
	for _, body := range []string{"first", "second"} {
		resp, err := http.Post(create, "text/plain", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close()
		fmt.Println(resp.Status)
	}
	resp, err := http.Get(server.URL + "/jobs/HEAD")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s, %d object\n", body, len(storage.Objects("jobs")))
	// Output:
	// 200 OK
	// 412 Precondition Failed
	// first, 1 object
}
