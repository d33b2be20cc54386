package credentials

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// readToken reads what a token file holds or a command printed: a JSON object with access_token and expiry
// (RFC 3339) or expires_in (seconds from the moment written), or a bare token, of which nobody knows how long
// it lives. What is wrong with it is told without quoting it.
func readToken(text []byte, account string, written time.Time) (*Token, error) {
	text = bytes.TrimSpace(text)
	if !bytes.HasPrefix(text, []byte("{")) {
		return lastingToken(string(text), "", account, written)
	}
	var said struct {
		Value     string     `json:"access_token"`
		Kind      string     `json:"token_type"`
		Expiry    *time.Time `json:"expiry"`
		ExpiresIn *int64     `json:"expires_in"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, errors.New("it is not a JSON object with access_token, expiry (RFC 3339) and expires_in (whole seconds)")
	}
	now := time.Now()
	switch {
	case said.Value == "":
		return nil, errors.New("its JSON has no access_token")
	case said.Expiry != nil && !said.Expiry.IsZero():
		return unexpired(said.Value, said.Kind, account, now, said.Expiry.Sub(now.Round(0)))
	case said.ExpiresIn == nil:
		return lastingToken(said.Value, said.Kind, account, written)
	case *said.ExpiresIn <= 0 || *said.ExpiresIn > int64(maxLife/time.Second):
		return nil, fmt.Errorf("its expires_in of %d s is no usable life", *said.ExpiresIn)
	}
	left := time.Duration(*said.ExpiresIn)*time.Second - now.Sub(written)
	return unexpired(said.Value, said.Kind, account, now, left)
}

func unexpired(value, kind, account string, now time.Time, left time.Duration) (*Token, error) {
	if left <= 0 {
		return nil, fmt.Errorf("its token has expired %v ago", (-left).Round(time.Second))
	}
	return NewToken(value, kind, account, now, left)
}
