package credentials

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// TestEchoOfAToken: in an answer that is no success the token is overwritten, however the body arrives, and no other byte of it.
func TestEchoOfAToken(t *testing.T) {
	const secret = "ya29.SECRET-token"
	stars := strings.Repeat("*", len(secret))
	long := strings.Repeat("ya29.SECRET-toke", 2000) // keeps beginning like the token
	for said, want := range map[string]string{
		"":                                 "",
		"nothing of it":                    "nothing of it",
		secret:                             stars,
		"Bearer " + secret + ", " + secret: "Bearer " + stars + ", " + stars,
		secret + secret:                    stars + stars,
		"ya29.SECRET-tokEN":                "ya29.SECRET-tokEN",
		"a few letters: ya29.SE":           "a few letters: ya29.SE",
		"cut off: ya29.SECRET":             "cut off: ***********",
		long + secret + long + "n":         long + stars + long[:len(long)-16] + stars,
	} {
		for name, how := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader, "end with data": iotest.DataErrReader, "by halves": iotest.HalfReader,
		} {
			answer := func(status int) *http.Response {
				base := roundTrip(func(*http.Request) (*http.Response, error) {
					resp := respond(status, "text/plain", said)
					resp.Header.Set("X-Debug", said)
					resp.Body = io.NopCloser(how(strings.NewReader(said)))
					return resp, nil
				})
				c := New(Static(secret, "me"), nil)
				defer closing(t, c)
				resp, err := (&http.Client{Transport: Transport(c, base)}).Get("https://example.com/")
				if err != nil {
					t.Fatal(err)
				}
				return resp
			}
			if got, err := io.ReadAll(answer(http.StatusForbidden).Body); err != nil || string(got) != want {
				t.Errorf("%.60q %s: %.80q and %v, want %.80q", said, name, got, err, want)
			}
			if err := iotest.TestReader(answer(http.StatusBadGateway).Body, []byte(want)); err != nil {
				t.Errorf("%.60q %s: %v", said, name, err)
			}
			if got := answer(http.StatusForbidden).Header.Get("X-Debug"); strings.Contains(got, secret) {
				t.Errorf("%.60q: the header says %q", said, got)
			}
			if got, err := io.ReadAll(answer(http.StatusOK).Body); err != nil || !bytes.Equal(got, []byte(said)) {
				t.Errorf("%.60q %s: a success was changed to %.60q (%v)", said, name, got, err)
			}
		}
	}
}
