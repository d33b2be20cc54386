package main

import (
	"crypto/rand"
	"net/url"
	"strings"

	"github.com/spf13/pflag"
	"github.com/tidemark-go/tidemark/emulator"
)

// s3Flags are the flags of emulator for S3.
type s3Flags struct {
	mode string
	keys []string

	id, secret string // of the first key, once options are made
}

// s3Ready is what emulator prints of S3.
type s3Ready struct {
	AccessKeyID     string   `json:"access_key_id"`
	SecretAccessKey string   `json:"secret_access_key"`
	Stores          []string `json:"stores"` // one per --bucket, ready to be used as STORE
}

func (f *s3Flags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.mode, "s3", "", "speak S3 too, as amazon or as google does; with a key that is made up unless --s3-key names one")
	flags.StringArrayVar(&f.keys, "s3-key", nil, "key that S3 requests may be signed with, ID:SECRET (repeatable; implies --s3 amazon)")
}

func (f *s3Flags) wanted() bool { return f.mode != "" || len(f.keys) > 0 }

// options are nil unless S3 is wanted.
func (f *s3Flags) options() (*emulator.S3Options, error) {
	if !f.wanted() {
		return nil, nil
	}
	o := &emulator.S3Options{Keys: map[string]string{}, Google: f.mode == "google"}
	if f.mode != "" && f.mode != "amazon" && f.mode != "google" {
		return nil, usagef("--s3 is amazon or google, not %q", f.mode)
	}
	if len(f.keys) == 0 {
		f.keys = []string{"EMULATOR" + rand.Text()[:12] + ":" + rand.Text() + rand.Text()[:14]}
	}
	for i, key := range f.keys {
		id, secret, ok := strings.Cut(key, ":")
		if !ok || id == "" || secret == "" || strings.ContainsAny(id, "/, ") {
			return nil, usagef("--s3-key is not of the form ID:SECRET") // what it is may be a secret
		}
		if i == 0 {
			f.id, f.secret = id, secret
		}
		o.Keys[id] = secret
	}
	return o, nil
}

// describe adds what a program needs that speaks S3.
func (f *s3Flags) describe(ready *cloudReady, buckets []string) {
	if f.id == "" {
		return
	}
	ready.S3 = &s3Ready{AccessKeyID: f.id, SecretAccessKey: f.secret, Stores: []string{}}
	for _, bucket := range buckets {
		u := url.URL{Scheme: "s3", Host: bucket, RawQuery: "endpoint=" + ready.StorageURL}
		ready.S3.Stores = append(ready.S3.Stores, u.String())
	}
	ready.Env["AWS_ACCESS_KEY_ID"], ready.Env["AWS_SECRET_ACCESS_KEY"] = f.id, f.secret
}
