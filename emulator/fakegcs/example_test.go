package fakegcs_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/tidemark-go/tidemark/emulator/fakegcs"
)

// The door is the emulator's: without a token from its metadata server nobody gets in.
func Example() {
	cloud, err := fakegcs.Listen(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = cloud.Close() }()
	if err := cloud.CreateBucket("bucket"); err != nil {
		log.Fatal(err)
	}
	for _, token := range []string{"invented", cloud.Issuer().Issue("me@example.com", time.Minute)} {
		req, err := http.NewRequest("GET", cloud.StorageURL()+"/storage/v1/b/bucket", nil)
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode)
	}
	// Output:
	// 401
	// 200
}
