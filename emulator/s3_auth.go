package emulator

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// v4 is what a version 4 signature is called, by Amazon and by Google.
type v4 struct{ algorithm, secret, service, end, family string }

var (
	v4Amazon = v4{"AWS4-HMAC-SHA256", "AWS4", "s3", "aws4_request", "X-Amz-"}
	v4Google = v4{"GOOG4-HMAC-SHA256", "GOOG4", "storage", "goog4_request", "X-Goog-"}
)

const (
	defaultSkew  = 15 * time.Minute
	v4TimeFormat = "20060102T150405Z"
)

// payload is what a request says of its body: the SHA-256 of it in hex, or that it is not signed.
type payload string

const payloadUnsigned payload = "UNSIGNED-PAYLOAD"

func (p payload) verify(c content) error {
	if p == payloadUnsigned {
		return nil
	}
	h := sha256.New()
	if _, err := c.WriteTo(h); err != nil {
		return err
	}
	if payload(hex.EncodeToString(h.Sum(nil))) != p {
		return &storageError{status: http.StatusBadRequest, code: "XAmzContentSHA256Mismatch",
			message: "The provided 'x-amz-content-sha256' header does not match what was computed."}
	}
	return nil
}

func refusedS3(status int, code, format string, args ...any) error {
	return &storageError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// v4Signature is an Authorization header taken apart.
type v4Signature struct {
	v4
	id, scope string
	headers   []string
	mac       []byte
}

func parseV4(header string) (v v4Signature, ok bool) {
	algorithm, rest, _ := strings.Cut(header, " ")
	for _, known := range []v4{v4Amazon, v4Google} {
		if known.algorithm == algorithm {
			v.v4 = known
		}
	}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			v.id, v.scope, _ = strings.Cut(value, "/")
		case "SignedHeaders":
			v.headers = strings.Split(value, ";")
		case "Signature":
			v.mac, _ = hex.DecodeString(value)
		}
	}
	return v, v.algorithm != "" && v.id != "" && v.headers != nil && len(v.mac) == sha256.Size
}

// verify checks a request's signature, and returns what it says of the body.
func (s *Storage) verify(r *http.Request) (payload, error) {
	o := s.opts.S3
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", refusedS3(http.StatusForbidden, "AccessDenied", "Anonymous caller: the request is not signed.")
	}
	if o.Google && hasFamily(r.Header, "X-Amz-") && hasFamily(r.Header, "X-Goog-") {
		return "", refusedS3(http.StatusBadRequest, "ExcessHeaderValues", "Requests cannot specify both x-amz and x-goog headers.")
	}
	sig, ok := parseV4(header)
	if !ok || sig.v4 == v4Google && !o.Google {
		return "", refusedS3(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed or of an unsupported type.")
	}
	at, err := sig.signedAt(r)
	if err != nil {
		return "", err
	}
	if skew := time.Since(at).Abs(); skew > cmp.Or(o.MaxSkew, defaultSkew) {
		return "", refusedS3(http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
	}
	secret, known := o.Keys[sig.id]
	switch {
	case !known && o.Google:
		return "", refusedS3(http.StatusForbidden, "InvalidSecurity", "The provided security credentials are not valid.")
	case !known:
		return "", refusedS3(http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	case r.Header.Get("X-Amz-Security-Token") != "":
		return "", refusedS3(http.StatusBadRequest, "InvalidToken", "The provided token is malformed or otherwise invalid.")
	}
	if err := sig.coversAll(r.Header); err != nil {
		return "", err
	}
	body, err := sig.payload(r)
	if err != nil {
		return "", err
	}
	if !hmac.Equal(sig.mac, sig.compute(secret, r, at, body)) {
		return "", refusedS3(http.StatusForbidden, "SignatureDoesNotMatch",
			"The request signature we calculated does not match the signature you provided. Check your secret key and signing method.")
	}
	return body, nil
}

func hasFamily(h http.Header, family string) bool {
	for name := range h {
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return false
}

// signedAt returns the time of the signature, which its scope has to repeat.
func (v *v4Signature) signedAt(r *http.Request) (time.Time, error) {
	at, err := time.Parse(v4TimeFormat, r.Header.Get(v.family+"Date"))
	if err != nil {
		return at, refusedS3(http.StatusForbidden, "AccessDenied", "The authentication requires a valid %sDate header.", v.family)
	}
	scope := strings.Split(v.scope, "/")
	if len(scope) != 4 || scope[0] != at.Format("20060102") || scope[1] == "" || scope[2] != v.service || scope[3] != v.end {
		return at, refusedS3(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The credential's scope %q is not date/region/%s/%s.", v.scope, v.service, v.end)
	}
	return at, nil
}

// coversAll refuses a signature that leaves out what it has to protect.
func (v *v4Signature) coversAll(h http.Header) error {
	need := []string{"host"}
	for name := range h {
		if strings.HasPrefix(name, v.family) {
			need = append(need, strings.ToLower(name))
		}
	}
	for _, name := range need {
		if !slices.Contains(v.headers, name) {
			return refusedS3(http.StatusForbidden, "AccessDenied", "There were headers present in the request which were not signed: %s", name)
		}
	}
	if !slices.IsSorted(v.headers) {
		return refusedS3(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The signed headers are not in order.")
	}
	return nil
}

func (v *v4Signature) payload(r *http.Request) (payload, error) {
	name := v.family + "Content-Sha256"
	body := r.Header.Get(name)
	sum, err := hex.DecodeString(body)
	switch {
	case body == string(payloadUnsigned) && r.TLS == nil:
		return "", refusedS3(http.StatusBadRequest, "InvalidRequest", "%s is for encrypted connections.", payloadUnsigned)
	case body == string(payloadUnsigned), err == nil && len(sum) == sha256.Size:
		return payload(body), nil
	case strings.HasPrefix(body, "STREAMING-"):
		return "", errNotImplemented("the payload " + body)
	}
	return "", refusedS3(http.StatusBadRequest, "InvalidRequest", "Missing or invalid header: %s", name)
}

// compute signs the request as its sender should have.
func (v *v4Signature) compute(secret string, r *http.Request, at time.Time, body payload) []byte {
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", r.Method, encodeV4(r.URL.Path, true), queryV4(r.URL.Query()))
	for _, name := range v.headers {
		fmt.Fprintf(&canonical, "%s:%s\n", name, headerV4(r, name))
	}
	fmt.Fprintf(&canonical, "\n%s\n%s", strings.Join(v.headers, ";"), body)
	digest := sha256.Sum256([]byte(canonical.String()))
	text := fmt.Sprintf("%s\n%s\n%s\n%x", v.algorithm, at.Format(v4TimeFormat), v.scope, digest)

	key := []byte(v.secret + secret)
	for _, part := range append(strings.Split(v.scope, "/"), text) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return key
}

func headerV4(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, value := range values {
		values[i] = strings.Join(strings.Fields(value), " ")
	}
	return strings.Join(values, ",")
}

func queryV4(q url.Values) string {
	var pairs []string
	for name, values := range q {
		for _, value := range values {
			pairs = append(pairs, encodeV4(name, false)+"="+encodeV4(value, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// encodeV4 escapes everything but letters, digits, "-._~" and, in a path, the slash.
func encodeV4(s string, path bool) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._~", rune(c)) || path && c == '/':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
