package objstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// Probe finds out whether s keeps the promises of Store about conditions and about what is read and listed after a write, with nine
// requests on an object named key plus a random suffix, which it deletes. A promise that the store does not keep is a KindUnsupported
// error that names it. On a store with a RewriteInterval it waits that long once.
func Probe(ctx context.Context, s Store, key string) error {
	p := prober{s: s, key: key + "-" + rand.Text()}
	err := p.run(ctx)
	if err == nil {
		return nil // run has deleted the object, and seen that it is gone
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), defaultAttempt)
	defer cancel()
	return errors.Join(err, p.delete(ctx))
}

type prober struct {
	s   Store
	key string
}

// What a store may lack.
const (
	createOnly = "create-if-absent (a write only if the object does not exist)"
	swap       = "compare-and-swap (a write only if the object's version is the expected one)"
	readAfter  = "read-after-write consistency"
	listAfter  = "list-after-write consistency (a listing that shows every write and deletion before it)"
)

func (p *prober) run(ctx context.Context) error {
	first, err := p.put(ctx, "first", Absent)
	if KindOf(err) == KindUnsupported {
		return p.lacks(createOnly, err)
	}
	if err != nil {
		return err
	}
	if err := p.refused(ctx, createOnly, "second", Absent); err != nil {
		return err
	}
	if err := sleep(ctx, p.s.Traits().RewriteInterval); err != nil {
		return ContextError(ctx, "probe", p.key)
	}
	const body = "third"
	second, err := p.put(ctx, body, first)
	if kind := KindOf(err); kind == KindPrecondition || kind == KindUnsupported || err == nil && (second == first || second == Absent) {
		return p.lacks(swap, fmt.Errorf("a write on version %q gave %q: %w", first, second, orNil(err)))
	}
	if err != nil {
		return err
	}
	if err := p.refused(ctx, swap, "fourth", first); err != nil {
		return err
	}
	read, version, err := p.s.Get(ctx, p.key, 64)
	if err != nil && KindOf(err) != KindNotFound {
		return err
	}
	if string(read) != body || version != second {
		return p.lacks(readAfter, fmt.Errorf("version %q was written with %q, version %q is read with %q", second, body, version, read))
	}
	if err := p.listed(ctx, Info{Size: int64(len(body)), Version: second}); err != nil {
		return err
	}
	if err := p.delete(ctx); err != nil {
		return err
	}
	if err := p.refused(ctx, swap, "fifth", second); err != nil { // or a job that was removed could come back
		return err
	}
	return p.listed(ctx)
}

func (p *prober) lacks(what string, err error) error {
	return &Error{Kind: KindUnsupported, Op: "probe", Key: p.key, Err: fmt.Errorf("%s lacks %s: %w", p.s, what, err)}
}

// refused makes a write that the store has to refuse.
func (p *prober) refused(ctx context.Context, what, body string, cond Version) error {
	_, err := p.put(ctx, body, cond)
	switch kind := KindOf(err); {
	case kind == KindPrecondition:
		return nil
	case err == nil:
		return p.lacks(what, errors.New("a write that had to be refused was accepted"))
	case kind == KindUnsupported, kind == KindInvalid:
		return p.lacks(what, err)
	}
	return err
}

// listed holds a listing of the object against what has to be there.
func (p *prober) listed(ctx context.Context, want ...Info) error {
	var got []Info
	for info, err := range p.s.List(ctx, p.key) {
		if err != nil {
			return err
		}
		got = append(got, info)
	}
	if len(got) != len(want) {
		return p.lacks(listAfter, fmt.Errorf("%d objects are listed where there are %d", len(got), len(want)))
	}
	for i, w := range want {
		if g := got[i]; g.Size != w.Size || g.Version != Absent && g.Version != w.Version {
			return p.lacks(listAfter, fmt.Errorf("version %q with %d bytes is listed as %q with %d", w.Version, w.Size, g.Version, g.Size))
		}
	}
	return nil
}

func (p *prober) put(ctx context.Context, body string, cond Version) (version Version, err error) {
	err = p.patiently(ctx, func() (err error) {
		version, err = p.s.Put(ctx, p.key, []byte(body), cond)
		return err
	})
	return version, err
}

func (p *prober) delete(ctx context.Context) error {
	return p.patiently(ctx, func() error { return p.s.Delete(ctx, p.key) })
}

// patiently waits where the store limits changes of one key, deletions too, without its Traits saying so.
func (p *prober) patiently(ctx context.Context, change func() error) error {
	for {
		err := change()
		var e *Error
		if !errors.As(err, &e) || e.Kind != KindThrottled {
			return err
		}
		if err := sleep(ctx, max(e.RetryAfter, time.Second)); err != nil {
			return ContextError(ctx, "probe", p.key)
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
