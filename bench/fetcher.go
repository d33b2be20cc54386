package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Fetcher asks the metadata server for a token, once and without a cache. It is for contenders whose library caches
// what others fetch.
type Fetcher struct{ url string }

// plainClient is shared like [http.DefaultClient]. 5 s is what Google's own metadata client allows a request.
var plainClient = &http.Client{Timeout: 5 * time.Second}

// NewFetcher returns a fetcher of the tokens of e.
func NewFetcher(e Endpoint) *Fetcher {
	query := url.Values{"scopes": {e.Scope}}
	return &Fetcher{"http://" + e.Host + tokenPath + "?" + query.Encode()}
}

// Fetch returns a token and when it expires.
func (f *Fetcher) Fetch(ctx context.Context) (value string, expiry time.Time, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return "", time.Time{}, err
	}
	req.Header.Set("Metadata-Flavor", "Google")
	sent := time.Now()
	resp, err := plainClient.Do(req)
	if err != nil {
		return "", time.Time{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", time.Time{}, fmt.Errorf("metadata server: %s", resp.Status)
	}
	var grant struct {
		Value string `json:"access_token"`
		Life  int64  `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&grant); err != nil {
		return "", time.Time{}, fmt.Errorf("metadata server: %w", err)
	}
	return grant.Value, sent.Add(time.Duration(grant.Life) * time.Second), nil
}
