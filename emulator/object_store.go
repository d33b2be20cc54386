package emulator

import "time"

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

// create makes o, whose content is complete and accounted for, the live version of its name if cond holds. This is the one
// place where objects come into being: whether cond holds and that they are visible is decided under one lock.
func (s *Storage) create(o *object, cond *conditions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[o.bucket]
	if b == nil {
		return errNoBucket()
	}
	if err := cond.forWrite(b.objects.get(o.name)); err != nil {
		return err
	}
	now := time.Now().UTC()
	if err := s.limitRate(b, o.name, now); err != nil {
		return err
	}
	// GCS's generations are microseconds too; here they also grow when a clock does not.
	s.lastGeneration = max(s.lastGeneration+1, now.UnixMicro())
	o.generation, o.metageneration = s.lastGeneration, 1
	o.created, o.updated = now, now
	if old := b.objects.set(o); old != nil {
		s.memory.release(old.content.size)
	}
	return nil
}

// remove deletes the live version if it is the one that cond means and cond holds.
func (s *Storage) remove(bucket, name string, cond *conditions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucket]
	if b == nil {
		return errNoBucket()
	}
	o, err := b.find(name, cond)
	if err != nil {
		return err
	}
	if err := cond.forWrite(o); err != nil {
		return err
	}
	if err := s.limitRate(b, name, time.Now()); err != nil {
		return err
	}
	b.objects.remove(name)
	s.memory.release(o.content.size)
	return nil
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
