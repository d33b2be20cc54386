package storetest

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// contendVariable holds the address of the store in a process that is a contender.
const contendVariable = "STORETEST_CONTEND"

// Contend is for TestMain, first of all. In a process that the suite started as a contender it opens the store at the address that
// Options.Address gave, does what the suite asks for on standard input, and ends the process. In any other it returns.
func Contend(open func(address string) (objstore.Store, error)) {
	address, ok := os.LookupEnv(contendVariable)
	if !ok {
		return
	}
	s, err := open(address)
	if err == nil {
		err = errors.Join(serve(context.Background(), s, os.Stdin, os.Stdout), s.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "contender:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// order is what a contender has to do, with how many writers at once.
type order struct {
	Do      string // write, count, scatter or list
	Key     string
	Cond    objstore.Version
	Writers int
}

// outcome is what became of it.
type outcome struct {
	Process int                         // who did it
	Won     map[string]objstore.Version // bodies that were written, with their versions
	Keys    []string                    // that were created, or listed
	Failed  []string
}

// serve carries out one order a line until there are no more.
func serve(ctx context.Context, s objstore.Store, orders io.Reader, outcomes io.Writer) error {
	out := json.NewEncoder(outcomes)
	lines := bufio.NewScanner(orders)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		if err := out.Encode(obey(ctx, s, o)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func obey(ctx context.Context, s objstore.Store, o order) outcome {
	out := outcome{Process: os.Getpid(), Won: map[string]objstore.Version{}}
	var mu sync.Mutex
	var writers sync.WaitGroup
	for range o.Writers {
		writers.Go(func() {
			key, body, version, err := o.once(ctx, s)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				out.Won[body] = version
				out.Keys = append(out.Keys, key)
			case objstore.KindOf(err) != objstore.KindPrecondition:
				out.Failed = append(out.Failed, err.Error())
			}
		})
	}
	writers.Wait()
	if o.Do != "list" {
		return out
	}
	for info, err := range s.List(ctx, o.Key) {
		if err != nil {
			out.Failed = append(out.Failed, err.Error())
			break
		}
		out.Keys = append(out.Keys, info.Key)
	}
	return out
}

// once is what one writer does. The body is no other writer's.
func (o order) once(ctx context.Context, s objstore.Store) (key, body string, v objstore.Version, err error) {
	key, body = o.Key, rand.Text()
	switch o.Do {
	case "write":
		body += strings.Repeat(" and more", os.Getpid()%100)
		v, err = s.Put(ctx, key, []byte(body), o.Cond)
	case "scatter":
		key += "/" + body
		v, err = s.Put(ctx, key, []byte(body), objstore.Absent)
	case "count":
		body, v, err = increment(ctx, s, key)
	default:
		err = fmt.Errorf("no such order: %q", o.Do)
	}
	return key, body, v, err
}

// increment adds one to a number that others count up, too.
func increment(ctx context.Context, s objstore.Store, key string) (string, objstore.Version, error) {
	for {
		old, version, err := s.Get(ctx, key, 1<<10)
		if err != nil {
			return "", objstore.Absent, err
		}
		number, _, _ := strings.Cut(string(old), " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			return "", objstore.Absent, err
		}
		body := fmt.Sprintf("%d %s", n+1, rand.Text())
		version, err = s.Put(ctx, key, []byte(body), version)
		if objstore.KindOf(err) != objstore.KindPrecondition {
			return body, version, err
		}
	}
}
