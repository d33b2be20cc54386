package emulator

import (
	"encoding/json"
	"io"
	"net/http"
)

// getObject answers with an object's attributes.
func (s *Storage) getObject(w http.ResponseWriter, r *http.Request, c *call) error {
	cond, err := readConditions(c, r)
	if err != nil {
		return err
	}
	o, err := s.find(c.bucket, c.object, &cond)
	if err != nil {
		return err
	}
	if err := cond.forRead(o); err != nil {
		return err
	}
	s.replyObject(w, r, o)
	return nil
}

func (s *Storage) deleteObject(w http.ResponseWriter, _ *http.Request, c *call) error {
	cond, err := queryConditions(c.query, "if")
	if err != nil {
		return err
	}
	if err := s.lookBucket(c.bucket); err != nil {
		return err
	}
	if err := s.remove(c.bucket, c.object, &cond); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// patchObject changes attributes as RFC 7396 says: null removes, and objects are merged.
func (s *Storage) patchObject(w http.ResponseWriter, r *http.Request, c *call) error {
	cond, err := queryConditions(c.query, "if")
	if err != nil {
		return err
	}
	var patch map[string]any
	if err := readJSON(r, &patch); err != nil {
		return err
	}
	if err := s.lookBucket(c.bucket); err != nil {
		return err
	}
	o, err := s.change(c.bucket, c.object, &cond, func(a attributes) (attributes, error) { return merge(a, patch) })
	if err != nil {
		return err
	}
	s.replyObject(w, r, o)
	return nil
}

func merge(a attributes, patch map[string]any) (merged attributes, err error) {
	fields := make(map[string]any)
	if err := recode(a, &fields); err != nil {
		return a, err
	}
	mergeFields(fields, patch)
	if err := recode(fields, &merged); err != nil {
		return a, errInvalid("The patch does not fit an object: %v", err)
	}
	return merged, nil
}

// recode turns from into to by way of their JSON.
func recode(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

func mergeFields(fields, patch map[string]any) {
	for name, value := range patch {
		inner, isObject := value.(map[string]any)
		switch {
		case value == nil:
			delete(fields, name)
		case isObject:
			under, ok := fields[name].(map[string]any)
			if !ok {
				under = make(map[string]any)
				fields[name] = under
			}
			mergeFields(under, inner)
		default:
			fields[name] = value
		}
	}
}

// readJSON decodes a request's body; an empty one leaves v as it is.
func readJSON(r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxMetadata))
	if err != nil {
		return errInvalid("The request's body could not be read: %v", err)
	}
	if len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, v); err != nil {
		return errInvalid("The request's body is not JSON as expected: %v", err)
	}
	return nil
}
