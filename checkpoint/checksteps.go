package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// reach asks for an object that does not exist. Any answer of the store's own will do: whether it allows what
// it was asked is for the checks that follow.
func (c *checker) reach(ctx context.Context) (string, error) {
	const asked = 3
	var took []time.Duration
	for range asked {
		start := time.Now()
		_, err := c.store.raw.Stat(ctx, c.key)
		took = append(took, time.Since(start))
		switch objstore.KindOf(err) {
		case objstore.KindNotFound, objstore.KindPermission:
		case objstore.KindInvalid:
			c.noSuch = err
		default:
			if err != nil {
				return "", err
			}
		}
	}
	slices.Sort(took)
	c.latency = took[asked/2]
	return c.store.String() + " answers", nil
}

// bucket lists, because S3 does not say in answer to a HEAD whether it is the object or the bucket that is missing.
func (c *checker) bucket(ctx context.Context) (string, error) {
	if c.noSuch != nil {
		return "", c.noSuch
	}
	for _, err := range c.store.raw.List(ctx, c.key) {
		if err != nil && objstore.KindOf(err) != objstore.KindPermission {
			return "", err
		}
	}
	return "exists", nil
}

func (c *checker) create(ctx context.Context) (string, error) {
	c.wrote = true
	version, err := c.put(ctx, "first", objstore.Absent)
	if err != nil {
		return "", err
	}
	c.version, c.body = version, "first"
	return "an object was created", nil
}

func (c *checker) createIfAbsent(ctx context.Context) (string, error) {
	version, err := c.put(ctx, "second", objstore.Absent)
	switch {
	case objstore.KindOf(err) == objstore.KindPrecondition:
		return "a second creation was refused", nil
	case err == nil:
		c.version, c.body = version, "second"
		return "", c.lacks("a second creation of an object was accepted")
	}
	return "", err
}

func (c *checker) swap(ctx context.Context) (string, error) {
	if err := c.pause(ctx, c.store.raw.Traits().RewriteInterval); err != nil {
		return "", err
	}
	old := c.version
	version, err := c.put(ctx, "third", old)
	if objstore.KindOf(err) == objstore.KindPrecondition {
		return "", c.lacks("a write on the current version was refused")
	}
	if err != nil {
		return "", err
	}
	c.version, c.body = version, "third"
	if version == old || version == objstore.Absent {
		return "", c.lacks("a write gave the object no new version")
	}
	version, err = c.put(ctx, "fourth", old)
	switch {
	case objstore.KindOf(err) == objstore.KindPrecondition:
		return "a write on the current version was accepted, one on an old version refused", nil
	case err == nil:
		c.version, c.body = version, "fourth"
		return "", c.lacks("a write on an old version was accepted")
	}
	return "", err
}

func (c *checker) read(ctx context.Context) (string, error) {
	const enough = 64 // bytes; the probe object has six at most
	body, version, err := c.store.raw.Get(ctx, c.key, enough)
	switch {
	case c.version == objstore.Absent && objstore.KindOf(err) == objstore.KindNotFound:
		return "allowed; there was no object to read", nil
	case err != nil:
		return "", err
	case c.version != objstore.Absent && (string(body) != c.body || version != c.version):
		return "", c.lacks(fmt.Sprintf("version %q was written with %q, version %q is read with %q", c.version, c.body, version, body))
	}
	return "what was written last was read", nil
}

func (c *checker) list(ctx context.Context) (string, error) {
	found := false
	for info, err := range c.store.raw.List(ctx, c.key) {
		if err != nil {
			return "", err
		}
		found = found || info.Key == c.key
	}
	switch {
	case c.version == objstore.Absent:
		return "allowed; there was no object to list", nil
	case !found:
		return "", c.lacks("an object that exists was not listed")
	}
	return "the new object was listed", nil
}

func (c *checker) delete(ctx context.Context) (string, error) {
	if err := c.patiently(ctx, func() error { return c.store.raw.Delete(ctx, c.key) }); err != nil {
		if c.version != objstore.Absent {
			err = fmt.Errorf("%w; the probe object %s remains", err, c.key)
		}
		return "", err
	}
	c.gone = true
	if c.version == objstore.Absent {
		return "allowed; there was no object to delete", nil
	}
	return "the probe object was deleted", nil
}

func (c *checker) put(ctx context.Context, body string, cond objstore.Version) (version objstore.Version, err error) {
	err = c.patiently(ctx, func() (err error) {
		version, err = c.store.raw.Put(ctx, c.key, []byte(body), cond)
		return err
	})
	return version, err
}

// patiently waits where the store limits changes of one object. A refusal of that kind has changed nothing.
func (c *checker) patiently(ctx context.Context, change func() error) error {
	for {
		err := change()
		var e *objstore.Error
		if !errors.As(err, &e) || e.Kind != objstore.KindThrottled {
			return err
		}
		if c.pause(ctx, max(e.RetryAfter, time.Second)) != nil {
			return err
		}
	}
}

func (c *checker) pause(ctx context.Context, d time.Duration) error {
	start := time.Now()
	err := sleep(ctx, d)
	c.waited += time.Since(start)
	if err != nil {
		return objstore.ContextError(ctx, "check", c.key)
	}
	return nil
}

func (c *checker) lacks(what string) error {
	return &objstore.Error{Kind: objstore.KindUnsupported, Op: "check", Key: c.key, Err: errors.New(what)}
}
