package emulator

import (
	"maps"
	"net/http"
	"slices"
)

type bucketResource struct {
	Kind           string `json:"kind"`
	ID             string `json:"id"`
	Name           string `json:"name"`
	SelfLink       string `json:"selfLink"`
	ProjectNumber  string `json:"projectNumber"`
	Metageneration string `json:"metageneration"`
	Location       string `json:"location"`
	LocationType   string `json:"locationType"`
	ETag           string `json:"etag"`
	Created        string `json:"timeCreated"`
	Updated        string `json:"updated"`
	shownSettings
}

// show is a bucket, whose attributes nobody can change.
func (s *Storage) show(b *bucket, r *http.Request) bucketResource {
	return bucketResource{
		Kind: "storage#bucket", ID: b.name, Name: b.name, SelfLink: origin(r) + "storage/v1/b/" + b.name,
		ProjectNumber: "0", Metageneration: "1", Location: "US-CENTRAL1", LocationType: "region",
		ETag: "CAE=", Created: stamp(b.created), Updated: stamp(b.created), shownSettings: s.opts.Bucket.shown(),
	}
}

func (s *Storage) getBucket(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := s.lookBucket(c.bucket); err != nil {
		return err
	}
	s.mu.RLock()
	b := s.buckets[c.bucket]
	s.mu.RUnlock()
	if b == nil {
		return errNoBucket()
	}
	reply(w, http.StatusOK, s.show(b, r))
	return nil
}

func (s *Storage) insertBucket(w http.ResponseWriter, r *http.Request, _ *call) error {
	var wanted struct {
		Name string `json:"name"`
	}
	if err := readJSON(r, &wanted); err != nil {
		return err
	}
	if err := checkBucketName(wanted.Name); err != nil {
		return errInvalid("Invalid bucket name: '%s': %v", wanted.Name, err)
	}
	s.mu.Lock()
	known := s.buckets[wanted.Name] != nil
	b := newBucket(wanted.Name)
	if !known {
		s.buckets[wanted.Name] = b
	}
	s.mu.Unlock()
	if known {
		return errConflict("Your previous request to create the named bucket succeeded and you already own it.")
	}
	reply(w, http.StatusOK, s.show(b, r))
	return nil
}

func (s *Storage) deleteBucket(w http.ResponseWriter, _ *http.Request, c *call) error {
	s.mu.Lock()
	b := s.buckets[c.bucket]
	empty := b != nil && b.objects.count == 0
	if empty {
		delete(s.buckets, c.bucket)
	}
	s.mu.Unlock()
	switch {
	case b == nil:
		return errNoBucket()
	case !empty:
		return errConflict("The bucket you tried to delete is not empty.")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Storage) listBuckets(w http.ResponseWriter, r *http.Request, _ *call) error {
	s.mu.RLock()
	names := slices.Sorted(maps.Keys(s.buckets))
	items := make([]bucketResource, len(names))
	for i, name := range names {
		items[i] = s.show(s.buckets[name], r)
	}
	s.mu.RUnlock()
	reply(w, http.StatusOK, struct {
		Kind  string           `json:"kind"`
		Items []bucketResource `json:"items,omitempty"`
	}{"storage#buckets", items})
	return nil
}
