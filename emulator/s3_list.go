package emulator

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// listingS3 is the answer to ListObjectsV2.
type listingS3 struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	StartAfter            string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	KeyCount, MaxKeys     int
	IsTruncated           bool
	Contents              []listedS3
	CommonPrefixes        []prefixS3
}

type listedS3 struct {
	Key            string
	LastModified   string
	ETag           string
	Size           int64
	StorageClass   string
	Generation     int64 `xml:",omitempty"` // these two are Google's
	MetaGeneration int64 `xml:",omitempty"`
}

type prefixS3 struct{ Prefix string }

// servedListing are the parameters of ListObjectsV2 that are understood.
var servedListing = map[string]bool{"list-type": true, "prefix": true, "delimiter": true, "max-keys": true, "start-after": true,
	"continuation-token": true, "encoding-type": true, "fetch-owner": true, "x-id": true}

func (s *Storage) listS3(w http.ResponseWriter, _ *http.Request, c *call) error {
	q := listQuery{prefix: c.query.Get("prefix"), delimiter: c.query.Get("delimiter"), limit: maxPage}
	for name := range c.query {
		if !servedListing[name] {
			return errNotImplemented("the parameter " + name)
		}
	}
	if text := c.query.Get("max-keys"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 {
			return errInvalid("Invalid value for max-keys: %q", text)
		}
		q.limit = min(limit, maxPage)
	}
	if after := c.query.Get("start-after"); after != "" {
		q.from = after + "\x00" // the first name that comes after
	}
	token, err := base64.URLEncoding.DecodeString(c.query.Get("continuation-token"))
	if err != nil {
		return errInvalid("The continuation token provided is incorrect")
	}
	q.after = string(token)
	escape := func(name string) string { return name }
	encoding := c.query.Get("encoding-type")
	switch encoding {
	case "":
	case "url":
		escape = func(name string) string { return strings.ReplaceAll(url.QueryEscape(name), "%2F", "/") }
	default:
		return errInvalid("Invalid Encoding Method specified in Request")
	}

	page, err := s.page(c.bucket, q)
	if err != nil {
		return err
	}
	l := listingS3{Name: c.bucket, Prefix: escape(q.prefix), Delimiter: escape(q.delimiter), StartAfter: escape(c.query.Get("start-after")),
		EncodingType: encoding, ContinuationToken: c.query.Get("continuation-token"), NextContinuationToken: page.next,
		KeyCount: len(page.objects) + len(page.prefixes), MaxKeys: q.limit, IsTruncated: page.next != ""}
	for _, o := range page.objects {
		item := listedS3{Key: escape(o.name), LastModified: stamp(o.updated), ETag: o.etagS3(), Size: o.content.size, StorageClass: o.attributes.StorageClass}
		if s.opts.S3.Google {
			item.ETag, item.Generation, item.MetaGeneration = `"`+o.etag()+`"`, o.generation, o.metageneration
		}
		l.Contents = append(l.Contents, item)
	}
	for _, prefix := range page.prefixes {
		l.CommonPrefixes = append(l.CommonPrefixes, prefixS3{escape(prefix)})
	}
	body, err := xml.Marshal(l)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(xml.Header)+len(body)))
	_, _ = w.Write(append([]byte(xml.Header), body...))
	return nil
}
