package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"cloud.google.com/go/storage"
	"cloud.google.com/go/storage/transfermanager"
	"github.com/tidemark-go/tidemark/bench"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/option"
)

// transferManager downloads with Google's transfer manager. It does not upload.
func transferManager() bench.Saver {
	s := loop("transfer", "cloud.google.com/go/storage/transfermanager, 8 workers, parts of 32 MiB; it only downloads", nil)
	s.Verbs = []string{bench.VerbRestore}
	s.Open = func(ctx context.Context, p bench.Place) (bench.Session, error) {
		client, err := newClient(ctx, p)
		if err != nil {
			return nil, err
		}
		return &transferSession{&loopSession{sdk{client.Bucket(p.Bucket), 0, 8}, client.Close}, client, p.Bucket}, nil
	}
	return s
}

type transferSession struct {
	*loopSession
	client *storage.Client
	bucket string
}

func (s *transferSession) Restore(ctx context.Context, dir string) (_ bench.Outcome, err error) {
	d, err := transfermanager.NewDownloader(s.client, transfermanager.WithWorkers(s.width()), transfermanager.WithCallbacks())
	if err != nil {
		return bench.Outcome{}, err
	}
	// Of thousands of files only as many may be open as are under way.
	open := make(chan struct{}, 4*s.width())
	failed := make(chan error, 1)
	note := func(err error) {
		select {
		case failed <- err:
		default: // there is one already
		}
	}
	made := map[string]bool{}
	err = s.list(ctx, func(name string) error {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if parent := filepath.Dir(file); !made[parent] {
			made[parent] = true
			if err := os.MkdirAll(parent, 0o755); err != nil {
				return err
			}
		}
		open <- struct{}{}
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		return d.DownloadObject(ctx, &transfermanager.DownloadObjectInput{
			Bucket: s.bucket, Object: name, Destination: f,
			Callback: func(out *transfermanager.DownloadOutput) {
				if err := errors.Join(out.Err, f.Close()); err != nil {
					note(err)
				}
				<-open
			},
		})
	})
	_, waited := d.WaitAndClose()
	select {
	case e := <-failed:
		err = errors.Join(err, e)
	default:
	}
	return bench.Outcome{}, errors.Join(err, waited)
}

// gocloud is the portable API over the same client.
func gocloud() bench.Saver {
	s := loop("gocloud", "gocloud.dev/blob, gcsblob: NewWriter and NewReader without options, 8 files at once", nil)
	s.Open = func(ctx context.Context, p bench.Place) (bench.Session, error) {
		creds, err := google.FindDefaultCredentials(ctx, storage.ScopeReadWrite)
		if err != nil {
			return nil, err
		}
		client, err := gcp.NewHTTPClient(gcp.DefaultTransport(), gcp.CredentialsTokenSource(creds))
		if err != nil {
			return nil, err
		}
		bucket, err := gcsblob.OpenBucket(ctx, client, p.Bucket, &gcsblob.Options{
			ClientOptions: []option.ClientOption{option.WithEndpoint(p.Storage + "/storage/v1/")},
		})
		if err != nil {
			return nil, err
		}
		return &loopSession{portable{bucket}, bucket.Close}, nil
	}
	return s
}

type portable struct{ bucket *blob.Bucket }

func (portable) width() int { return 8 }

func (t portable) put(ctx context.Context, name string, f *os.File) error {
	// Without a type it would read the first 512 bytes to guess one.
	w, err := t.bucket.NewWriter(ctx, name, &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, w.Close())
}

func (t portable) get(ctx context.Context, name string, f *os.File) error {
	r, err := t.bucket.NewReader(ctx, name, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, r.Close())
}

func (t portable) list(ctx context.Context, visit func(name string) error) error {
	for it := t.bucket.List(nil); ; {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := visit(o.Key); err != nil {
			return err
		}
	}
}
