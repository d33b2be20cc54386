package emulator

import (
	"encoding/json"
	"net/http"
	"reflect"
)

// maxComponents is how many objects GCS composes at once.
const maxComponents = 32

// rewrite copies an object. It always finishes in one call, where GCS may ask to be called again.
func (s *Storage) rewrite(w http.ResponseWriter, r *http.Request, c *call) error {
	o, err := s.copy(r, c)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, struct {
		Kind     string          `json:"kind"`
		Written  int64           `json:"totalBytesRewritten,string"`
		Size     int64           `json:"objectSize,string"`
		Done     bool            `json:"done"`
		Resource *objectResource `json:"resource"`
	}{"storage#rewriteResponse", o.content.size, o.content.size, true, o.resource(r)})
	return nil
}

func (s *Storage) copyTo(w http.ResponseWriter, r *http.Request, c *call) error {
	o, err := s.copy(r, c)
	if err != nil {
		return err
	}
	s.replyObject(w, r, o)
	return nil
}

// copy makes a copy that has the source's attributes, unless the request brings some.
func (s *Storage) copy(r *http.Request, c *call) (*object, error) {
	cond, err := queryConditions(c.query, "if")
	if err != nil {
		return nil, err
	}
	cond.generation = nil // it is a parameter of reads
	sourceCond, err := queryConditions(c.query, "ifSource")
	if err != nil {
		return nil, err
	}
	var attrs attributes
	if err := readJSON(r, &attrs); err != nil {
		return nil, err
	}
	if err := checkName(c.to); err != nil {
		return nil, err
	}
	source, err := s.find(c.bucket, c.object, &sourceCond)
	if err != nil {
		return nil, err
	}
	if err := sourceCond.forWrite(source); err != nil {
		return nil, err
	}
	if err := s.lookBucket(c.toBucket); err != nil {
		return nil, err
	}
	o := &object{bucket: c.toBucket, name: c.to, attributes: source.attributes, md5: source.md5, components: source.components}
	if !reflect.DeepEqual(attrs, attributes{}) {
		o.attributes = attrs.withDefaults()
	}
	return o, s.createJoined(o, &cond, checksums{}, source.content)
}

// compose makes one object of up to 32, in their order.
func (s *Storage) compose(w http.ResponseWriter, r *http.Request, c *call) error {
	cond, err := queryConditions(c.query, "if")
	if err != nil {
		return err
	}
	var wanted struct {
		Sources []struct {
			Name          string      `json:"name"`
			Generation    json.Number `json:"generation"`
			Preconditions struct {
				GenerationIs json.Number `json:"ifGenerationMatch"`
			} `json:"objectPreconditions"`
		} `json:"sourceObjects"`
		Destination   uploadMetadata `json:"destination"`
		DeleteSources bool           `json:"deleteSourceObjects"`
	}
	if err := readJSON(r, &wanted); err != nil {
		return err
	}
	switch n := len(wanted.Sources); {
	case n == 0:
		return errRequired("sourceObjects")
	case n > maxComponents:
		return errInvalid("The number of source components provided (%d) exceeds the maximum (%d)", n, maxComponents)
	}
	if err := checkName(c.object); err != nil {
		return err
	}
	o := &object{bucket: c.bucket, name: c.object, attributes: wanted.Destination.withDefaults()}
	sources := make([]*object, len(wanted.Sources))
	parts := make([]content, len(wanted.Sources))
	for i, src := range wanted.Sources {
		var sourceCond conditions
		if sourceCond.generation, err = number("generation", src.Generation.String()); err != nil {
			return err
		}
		if sourceCond.generationIs, err = number("ifGenerationMatch", src.Preconditions.GenerationIs.String()); err != nil {
			return err
		}
		if sources[i], err = s.find(c.bucket, src.Name, &sourceCond); err != nil {
			return err
		}
		if err := sourceCond.forWrite(sources[i]); err != nil {
			return err
		}
		parts[i] = sources[i].content
		o.components += max(1, sources[i].components)
	}
	if err := s.createJoined(o, &cond, checksums{crc32c: wanted.Destination.CRC32C}, parts...); err != nil {
		return err
	}
	if wanted.DeleteSources {
		s.removeSources(sources)
	}
	s.replyObject(w, r, o)
	return nil
}

// createJoined creates o with the content of other objects.
func (s *Storage) createJoined(o *object, cond *conditions, sums checksums, parts ...content) (err error) {
	if o.content, o.crc, err = s.join(parts...); err != nil {
		return err
	}
	if err = sums.verify(o); err == nil {
		err = s.create(o, cond)
	}
	if err != nil {
		s.discard(o.content)
	}
	return err
}

// removeSources deletes what an object was composed of, unless it has changed since.
func (s *Storage) removeSources(sources []*object) {
	for _, o := range sources {
		_ = s.remove(o.bucket, o.name, &conditions{generation: &o.generation})
	}
}
