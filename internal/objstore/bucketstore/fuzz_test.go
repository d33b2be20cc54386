package bucketstore

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"testing"
)

// FuzzListing decodes pages of listings, as S3 and Azure send them. A page is whole, or it is none; it costs a bounded multiple of its length.
func FuzzListing(f *testing.F) {
	for _, seed := range []string{
		`<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>n</NextContinuationToken><EncodingType>url</EncodingType><Contents><Key>a%2Fb</Key><Size>3</Size><ETag>"x"</ETag></Contents><CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes></ListBucketResult>`,
		`<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>`, `<ListBucketResult><Contents><Size>-1</Size></Contents></ListBucketResult>`, `<html>`, ``,
		"\xef\xbb\xbf" + `<EnumerationResults><Blobs><Blob><Name Encoded="true">a%zz</Name><Properties><Content-Length>5</Content-Length><Etag>0x1</Etag></Properties></Blob><BlobPrefix><Name>p/</Name></BlobPrefix></Blobs><NextMarker>m</NextMarker></EnumerationResults>`,
		`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><ListBucketResult><Contents><Key>&b;</Key></Contents></ListBucketResult>`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, decode := range map[string]func(*http.Response) (*listed, error){"amazon": (&S3{d: amazon{}}).decode, "google": (&S3{d: google{}}).decode, "azure": new(Azure).decode} {
			resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/xml"}}, Body: io.NopCloser(bytes.NewReader(text))}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			page, err := decode(resp)
			runtime.ReadMemStats(&after)
			if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+512*len(text)); got > limit {
				t.Errorf("%s: allocated %d bytes for %d", name, got, len(text))
			}
			if err != nil {
				continue
			}
			for _, o := range page.objects {
				if o.Size < 0 {
					t.Errorf("%s: an object of %d bytes", name, o.Size)
				}
			}
		}
	})
}

// FuzzRefusal reads what services say against a request.
func FuzzRefusal(f *testing.F) {
	for _, seed := range []string{
		`<Error><Code>AccessDenied</Code><Message>no</Message><Details>x</Details></Error>`, `<Error>`, `<html>502</html>`, ``, "\xef\xbb\xbf<Error><Code>a\nb</Code></Error>",
	} {
		f.Add([]byte(seed), "secret")
	}
	f.Fuzz(func(t *testing.T, text []byte, secret string) {
		var said serviceError
		if unmarshal(text, &said) != nil {
			return
		}
		said.forget([]string{secret})
		if len(secret) > 12 && bytes.Contains([]byte(said.Code+"\n"+said.Message+"\n"+said.Details), []byte(secret)) {
			t.Errorf("%q is still in %+v", secret, said)
		}
	})
}
