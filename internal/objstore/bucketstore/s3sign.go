package bucketstore

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// signingScheme is a version 4 signature: Amazon's and Google's differ in these words alone.
type signingScheme struct {
	algorithm string
	secret    string // before the secret key, in the first round
	service   string
	end       string // of the scope
	header    string // of the family of headers
}

const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	signedTime      = "20060102T150405Z"
)

// sign authorises r, whose query has to be in order (see canonicalQuery). It covers every header that r has by now; what a proxy may
// change is to be added later.
func (c signingScheme) sign(r *http.Request, creds aws.Credentials, payload, region string, now time.Time) {
	now = now.UTC()
	h := r.Header
	h.Set(c.header+"Date", now.Format(signedTime))
	h.Set(c.header+"Content-Sha256", payload)
	if creds.SessionToken != "" && c.header == "X-Amz-" { // HMAC keys of Google have none
		h.Set(c.header+"Security-Token", creds.SessionToken)
	}
	names, headers := canonicalHeaders(r)
	request := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, headers, names, payload}, "\n")
	scope := strings.Join([]string{now.Format("20060102"), region, c.service, c.end}, "/")
	text := strings.Join([]string{c.algorithm, now.Format(signedTime), scope, hexSHA256(request)}, "\n")
	key := []byte(c.secret + creds.SecretAccessKey)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	h.Set("Authorization", c.algorithm+" Credential="+creds.AccessKeyID+"/"+scope+
		", SignedHeaders="+names+", Signature="+hex.EncodeToString(mac(key, text)))
}

// canonicalHeaders returns the names of all headers, and the lines that are signed for them.
func canonicalHeaders(r *http.Request) (names, lines string) {
	all := []string{"host"}
	values := map[string]string{"host": r.URL.Host}
	for name, v := range r.Header {
		name = strings.ToLower(name)
		all = append(all, name)
		values[name] = strings.Join(v, ",") // all of them are this package's own: single, without odd spaces
	}
	slices.Sort(all)
	var b strings.Builder
	for _, name := range all {
		b.WriteString(name + ":" + values[name] + "\n")
	}
	return strings.Join(all, ";"), b.String()
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSHA256[T string | []byte](b T) string {
	sum := sha256.Sum256([]byte(b))
	return hex.EncodeToString(sum[:])
}

// canonicalQuery encodes parameters as the signature wants them, which servers understand as well.
func canonicalQuery(q url.Values) string {
	return strings.ReplaceAll(q.Encode(), "+", "%20") // Encode sorts, and escapes a plus itself as %2B
}

// canonicalPath escapes all but the unreserved characters and the slash: net/url leaves more as they are.
func canonicalPath(path string) string {
	const upper = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(path) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteString("%" + upper[c>>4:c>>4+1] + upper[c&15:c&15+1])
		}
	}
	return b.String()
}
