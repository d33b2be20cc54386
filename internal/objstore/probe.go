package objstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// Probe finds out whether s keeps the promises of Store about conditions, with six requests on an object named key plus a
// random suffix, which it deletes. A condition that the store ignores is a KindUnsupported error that names it.
// On a store with a RewriteInterval it waits that long once.
func Probe(ctx context.Context, s Store, key string) (err error) {
	key += "-" + rand.Text()
	lacks := func(what string, err error) error {
		if err == nil {
			err = errors.New("a write that had to be refused was accepted")
		}
		return &Error{Kind: KindUnsupported, Op: "probe", Key: key, Err: fmt.Errorf("%s lacks %s: %w", s, what, err)}
	}
	refused := func(what, body string, cond Version) error {
		_, err := putPatiently(ctx, s, key, body, cond)
		switch kind := KindOf(err); {
		case kind == KindPrecondition:
			return nil
		case err == nil, kind == KindUnsupported, kind == KindInvalid:
			return lacks(what, err)
		}
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), defaultAttempt)
		defer cancel()
		err = errors.Join(err, s.Delete(ctx, key))
	}()

	first, err := putPatiently(ctx, s, key, "first", Absent)
	if err != nil {
		return err
	}
	const createOnly, swap = "create-if-absent (a write only if the object does not exist)",
		"compare-and-swap (a write only if the object's version is the expected one)"
	if err := refused(createOnly, "second", Absent); err != nil {
		return err
	}
	if err := sleep(ctx, s.Traits().RewriteInterval); err != nil {
		return ContextError(ctx, "probe", key)
	}
	second, err := putPatiently(ctx, s, key, "third", first)
	if KindOf(err) == KindPrecondition || err == nil && (second == first || second == Absent) {
		return lacks(swap, fmt.Errorf("a write on version %q gave %q: %w", first, second, orNil(err)))
	}
	if err != nil {
		return err
	}
	if err := refused(swap, "fourth", first); err != nil {
		return err
	}
	body, version, err := s.Get(ctx, key, 64)
	if err != nil {
		return err
	}
	if string(body) != "third" || version != second {
		return lacks("read-after-write consistency",
			fmt.Errorf("version %q was written with %q, version %q is read with %q", second, "third", version, body))
	}
	return nil
}

// putPatiently waits where the store limits writes of one key without its Traits saying so.
func putPatiently(ctx context.Context, s Store, key, body string, cond Version) (Version, error) {
	for {
		version, err := s.Put(ctx, key, []byte(body), cond)
		var e *Error
		if !errors.As(err, &e) || e.Kind != KindThrottled {
			return version, err
		}
		if err := sleep(ctx, max(e.RetryAfter, time.Second)); err != nil {
			return Absent, ContextError(ctx, "probe", key)
		}
	}
}

func orNil(err error) error {
	if err == nil {
		return errors.New("no new version")
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
