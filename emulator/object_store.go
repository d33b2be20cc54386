package emulator

import (
	"errors"
	"io/fs"
	"time"
)

// mutationInterval is how long GCS wants between two changes of one name.
const mutationInterval = time.Second

// lookBucket makes sure that a bucket exists.
func (s *Storage) lookBucket(name string) error {
	s.mu.RLock()
	known := s.buckets[name] != nil
	s.mu.RUnlock()
	switch {
	case known:
		return nil
	case !s.opts.AutoCreate || checkBucketName(name) != nil:
		return errNoBucket()
	}
	return s.CreateBucket(name)
}

// find returns the live version of an object if it is the one that cond means. It looks at no precondition.
func (s *Storage) find(bucket, name string, cond *conditions) (*object, error) {
	if err := s.lookBucket(bucket); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[bucket]
	if b == nil {
		return nil, errNoBucket()
	}
	return b.find(name, cond)
}

func (b *bucket) find(name string, cond *conditions) (*object, error) {
	o := b.objects.get(name)
	if o == nil || (cond.generation != nil && *cond.generation != o.generation) {
		return nil, errNoObject(b.name, name)
	}
	return o, nil
}

// install stores what was received for o where objects live, and creates o. The budget's share of it is the caller's again
// if that fails.
func (s *Storage) install(o *object, cond *conditions) error {
	if s.disk == nil {
		return s.create(o, cond)
	}
	received := o.content
	stored, _, err := s.disk.write(received)
	if err != nil {
		return err
	}
	o.content = stored
	if err := s.create(o, cond); err != nil {
		o.content = received
		stored.file.remove()
		return err
	}
	s.memory.release(received.size)
	return nil
}

// join returns the content that consists of parts, whose bytes stored objects hold, and its CRC32C. In memory the bytes are
// shared, and the budget counts them for each that holds them, or a copy could outlive its source unaccounted for.
func (s *Storage) join(parts ...content) (joined content, crc uint32, err error) {
	if s.disk != nil {
		joined, crc, err = s.disk.write(parts...)
		if errors.Is(err, fs.ErrNotExist) {
			err = errChanged()
		}
		return joined, crc, err
	}
	for _, part := range parts {
		joined = joined.append(part)
	}
	return joined, joined.updateCRC(0), s.memory.reserve(joined.size)
}

// discard gives up content that no object holds any more.
func (s *Storage) discard(c content) {
	if c.file != nil {
		c.file.remove()
		return
	}
	s.memory.release(c.size)
}

// create makes o, whose content is complete and accounted for, the live version of its name if cond holds.
func (s *Storage) create(o *object, cond *conditions) error {
	old, err := s.replace(o, cond)
	if old != nil {
		s.discard(old.content)
	}
	return err
}

// replace is the one place where objects come into being: whether cond holds and that o is visible is decided under one lock.
func (s *Storage) replace(o *object, cond *conditions) (old *object, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[o.bucket]
	if b == nil {
		return nil, errNoBucket()
	}
	if err := cond.forWrite(b.objects.get(o.name)); err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	if err := s.limitRate(b, o.name, now); err != nil {
		return nil, err
	}
	// GCS's generations are microseconds too; here they also grow when a clock does not.
	s.lastGeneration = max(s.lastGeneration+1, now.UnixMicro())
	o.generation, o.metageneration = s.lastGeneration, 1
	o.created, o.updated = now, now
	return b.objects.set(o), nil
}

// remove deletes the live version if it is the one that cond means and cond holds.
func (s *Storage) remove(bucket, name string, cond *conditions) error {
	o, err := s.take(bucket, name, cond)
	if o != nil {
		s.discard(o.content)
	}
	return err
}

func (s *Storage) take(bucket, name string, cond *conditions) (*object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucket]
	if b == nil {
		return nil, errNoBucket()
	}
	o, err := b.find(name, cond)
	if err != nil {
		return nil, err
	}
	if err := cond.forWrite(o); err != nil {
		return nil, err
	}
	if err := s.limitRate(b, name, time.Now()); err != nil {
		return nil, err
	}
	b.objects.remove(name)
	return o, nil
}

// change replaces the attributes of the live version by what edit makes of them.
func (s *Storage) change(bucket, name string, cond *conditions, edit func(attributes) (attributes, error)) (*object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucket]
	if b == nil {
		return nil, errNoBucket()
	}
	o, err := b.find(name, cond)
	if err != nil {
		return nil, err
	}
	if err := cond.forWrite(o); err != nil {
		return nil, err
	}
	changed := *o
	if changed.attributes, err = edit(o.attributes); err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	if err := s.limitRate(b, name, now); err != nil {
		return nil, err
	}
	changed.metageneration++
	changed.updated = now
	b.objects.set(&changed)
	return &changed, nil
}

// maxChanged bounds how many names are remembered for RateLimit before those that are past are forgotten.
const maxChanged = 10_000

func (s *Storage) limitRate(b *bucket, name string, now time.Time) error {
	if !s.opts.RateLimit {
		return nil
	}
	if last, ok := b.changed[name]; ok && now.Sub(last) < mutationInterval {
		return errRate(b.name, name)
	}
	if len(b.changed) >= maxChanged {
		for other, last := range b.changed {
			if now.Sub(last) >= mutationInterval {
				delete(b.changed, other)
			}
		}
	}
	b.changed[name] = now
	return nil
}
