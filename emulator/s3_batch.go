package emulator

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// deleteManyS3 is DeleteObjects.
func (s *Storage) deleteManyS3(w http.ResponseWriter, r *http.Request, c *call, body payload) error {
	var sums checksums
	if err := sums.addHeaders(r.Header); err != nil {
		return err
	}
	if sums.md5 == "" && !s.opts.S3.Google {
		return refusedS3(http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: Content-MD5")
	}
	rc := newReceiver(&s.memory, r.ContentLength, 0)
	defer rc.release()
	if err := rc.readFrom(r.Body); err != nil {
		return err
	}
	o := &object{content: content{segments: rc.segments, size: rc.size}, crc: rc.sum(rc.size)}
	if err := body.verify(o.content); err != nil {
		return err
	}
	if err := sums.verify(o); err != nil {
		return &storageError{status: http.StatusBadRequest, code: "BadDigest", message: err.Error()}
	}
	var request struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Objects []struct{ Key, VersionId string } `xml:"Object"`
	}
	text, err := o.content.open()
	if err != nil {
		return err
	}
	if err := xml.NewDecoder(io.LimitReader(text, maxBatchBody)).Decode(&request); err != nil || len(request.Objects) == 0 || len(request.Objects) > maxPage {
		return refusedS3(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
	}
	result := struct {
		XMLName xml.Name  `xml:"DeleteResult"`
		Space   string    `xml:"xmlns,attr"`
		Deleted []keyS3   `xml:"Deleted"`
		Errors  []errorS3 `xml:"Error"`
	}{Space: "http://s3.amazonaws.com/doc/2006-03-01/"}
	for _, wanted := range request.Objects {
		if wanted.VersionId != "" {
			return errNotImplemented("the element VersionId")
		}
		switch e := s.deleteOneS3(r, c, wanted.Key); {
		case e != nil:
			result.Errors = append(result.Errors, errorS3{wanted.Key, e.code, e.message})
		case !request.Quiet:
			result.Deleted = append(result.Deleted, keyS3{wanted.Key})
		}
	}
	answer, err := xml.Marshal(result)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(xml.Header)+len(answer)))
	_, _ = w.Write(append([]byte(xml.Header), answer...))
	return nil
}

type keyS3 struct{ Key string }

type errorS3 struct{ Key, Code, Message string }

// deleteOneS3 returns nil for what is not there: it is deleted.
func (s *Storage) deleteOneS3(r *http.Request, c *call, name string) *storageError {
	const permission = "storage.objects.delete"
	err := s.permit(r, c.bucket, name, permission)
	if err != nil {
		err = s.forbiddenS3(err, &call{bucket: c.bucket, object: name}, permission)
	} else {
		err = s.remove(c.bucket, name, &conditions{})
	}
	var e *storageError
	if !errors.As(err, &e) || e.code == "NoSuchKey" {
		return nil
	}
	return e
}
