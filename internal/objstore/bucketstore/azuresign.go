package bucketstore

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// authority is why Azure should do what a request asks.
type authority interface {
	authorize(r *http.Request)
}

// brought is that of a client which adds it itself.
type brought struct{}

func (brought) authorize(*http.Request) {}

// sharedAccess is a signature that somebody made beforehand; it is a part of the address.
type sharedAccess struct{ query func() url.Values } // a function, since fmt reads fields

func newSharedAccess(text string) (authority, error) {
	q, err := url.ParseQuery(text)
	if err != nil || q.Get("sig") == "" {
		return nil, errors.New("the shared access signature has no sig: it is not one")
	}
	return sharedAccess{func() url.Values { return q }}, nil
}

func (a sharedAccess) authorize(r *http.Request) {
	q := r.URL.Query()
	maps.Copy(q, a.query())
	r.URL.RawQuery = q.Encode()
}

// sharedKey signs by the account's key.
type sharedKey struct {
	account string
	key     func() []byte
}

func newSharedKey(account, text string) (authority, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) == 0 {
		return nil, errors.New("the account key is not base64")
	}
	return sharedKey{account, func() []byte { return key }}, nil
}

// signedHeaders are the values that are signed by their place, in this order; Date is replaced by x-ms-date.
// https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
var signedHeaders = []string{"Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type", "Date",
	"If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range"}

func (k sharedKey) authorize(r *http.Request) {
	mac := hmac.New(sha256.New, k.key())
	_, _ = mac.Write([]byte(k.toSign(r))) // a hash takes everything
	r.Header.Set("Authorization", "SharedKey "+k.account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func (k sharedKey) toSign(r *http.Request) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n")
	for _, name := range signedHeaders {
		value := r.Header.Get(name)
		if name == "Content-Length" && r.ContentLength > 0 {
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		b.WriteString(value + "\n")
	}
	var own []string
	for name, values := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-ms-") {
			own = append(own, name+":"+strings.Join(values, ",")+"\n")
		}
	}
	slices.Sort(own)
	b.WriteString(strings.Join(own, ""))
	b.WriteString("/" + k.account + r.URL.EscapedPath())
	q := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(q)) {
		slices.Sort(q[name])
		b.WriteString("\n" + strings.ToLower(name) + ":" + strings.Join(q[name], ","))
	}
	return b.String()
}
