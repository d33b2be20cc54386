package emulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"

	"github.com/tidemark-go/tidemark/emulator"
)

// A program asks the metadata server for a token as it would on Google Cloud. A test says emulator.Start(t, nil) instead
// of Listen and Close.
func Example() {
	cloud, err := emulator.Listen(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = cloud.Close() }()

	req, err := http.NewRequest("GET", cloud.MetadataURL()+"/computeMetadata/v1/instance/service-accounts/default/token", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Metadata-Flavor", "Google")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var token struct {
		Secret  string `json:"access_token"`
		Expires int    `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil {
		log.Fatal(err)
	}
	fmt.Println("lives", token.Expires, "seconds, is refused because of:", cloud.Issuer().Check(token.Secret))
	cloud.Issuer().RevokeAll()
	fmt.Println(cloud.Issuer().Check(token.Secret))
	// Output:
	// lives 3600 seconds, is refused because of: <nil>
	// emulator: bearer token has been revoked
}

// The commit of job orders succeeds, and its reply is lost: the client must find out for itself.
func ExampleParseFaults() {
	faults, err := emulator.ParseFaults([]byte(`[{
		"name":  "lost commit",
		"match": {"server": "storage", "ops": ["insert"], "object": "**/orders/HEAD", "nth": 2},
		"then":  {"effect": "close", "apply": true}
	}]`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(faults[0].Name, faults[0].Then.Effect)

	_, err = emulator.ParseFaults([]byte(`[{"then": {"effect": "delay", "status": 503}}]`))
	fmt.Println(err)
	// Output:
	// lost commit close
	// emulator: fault 1: then: effect delay does not take status (it takes: for)
}
