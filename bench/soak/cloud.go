package soak

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// CloudOptions shape a Cloud.
type CloudOptions struct {
	Seed          uint64        `json:"seed"`
	TokenLifetime time.Duration `json:"token_lifetime"`
	ReuseUntil    time.Duration `json:"reuse_until"`
	// Closing is after how many requests the server closes the connection of one.
	Closing int64 `json:"closing"`
	// Rarity stretches the distances of the faults that befall single requests.
	Rarity int `json:"rarity"`
	// Swift allows more than one write of an object in a second, which GCS does not.
	Swift bool `json:"swift,omitempty"`
	// Episode is how long an episode usually lasts; so long is also the quiet between two.
	Episode time.Duration `json:"episode"`
}

// Cloud is the emulator with everything that goes wrong in it.
type Cloud struct {
	opts  CloudOptions
	cloud *emulator.Cloud
	store *emulator.Storage
	few   *emulator.Faults // those that are sprinkled; the cloud's own are the episodes'
	wrong *damager

	requests atomic.Int64
	closings atomic.Int64
	revoked  time.Time // when tokens were, the last time
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu    sync.Mutex
	fired map[string]int64 // of episodes that are over
	now   string           // the episode
	err   error
}

// OpenCloud starts the servers. They are well until Trouble.
func OpenCloud(ctx context.Context, o CloudOptions) (*Cloud, error) {
	few, err := emulator.NewFaults()
	if err != nil {
		return nil, err
	}
	wrong, err := newDamager(damageEvery * o.Rarity)
	if err != nil {
		return nil, err
	}
	c := &Cloud{opts: o, few: few, wrong: wrong, fired: map[string]int64{}, stop: func() {}}
	c.cloud, err = emulator.Listen(ctx, &emulator.Options{
		Metadata: &emulator.MetadataOptions{TokenLifetime: o.TokenLifetime, ReuseUntil: o.ReuseUntil},
		StorageHandler: func(authorize func(string) error) http.Handler {
			c.store = emulator.NewStorage(&emulator.StorageOptions{Authorize: authorize, RateLimit: !o.Swift})
			return storageDoor{c.store, c.close(few.Wrap(emulator.ServerStorage, wrong.wrap(c.store)))}
		},
	})
	if err != nil {
		return nil, err
	}
	if err := c.cloud.CreateBucket(bucket); err != nil {
		return nil, errors.Join(err, c.cloud.Close())
	}
	return c, nil
}

// Trouble begins, until Heal.
func (c *Cloud) Trouble() error {
	if err := c.few.Set(sprinkled(c.opts.Rarity)...); err != nil {
		return err
	}
	c.wrong.on.Store(true)
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.running.Go(func() { c.misbehave(ctx) })
	return nil
}

// storageDoor is the storage server behind its faults; CreateBucket and Close are its own.
type storageDoor struct {
	*emulator.Storage
	faulty http.Handler
}

func (d storageDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.faulty.ServeHTTP(w, r) }

// close ends the connection of every so many requests, with the reply.
func (c *Cloud) close(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.requests.Add(1)%c.opts.Closing == 0 {
			c.closings.Add(1)
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// misbehave plays episode after episode, with quiet in between.
func (c *Cloud) misbehave(ctx context.Context) {
	random := rand.New(rand.NewPCG(c.opts.Seed, 2))
	quiet := func(d time.Duration) bool {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for all := episodes(); ; {
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, e := range all {
			if !quiet(c.opts.Episode + time.Duration(random.Int64N(int64(c.opts.Episode)))) {
				return
			}
			if e.revoke && !quiet(settled-time.Since(c.revoked)) {
				return
			}
			c.begin(e)
			went := quiet(time.Duration(e.lasts * float64(c.opts.Episode)))
			for until := time.Now().Add(patience); went && !c.met(e) && time.Now().Before(until); {
				went = quiet(patience / 32)
			}
			c.end()
			if !went {
				return
			}
		}
	}
}

// patience is how much longer an episode lasts that nobody has met: a client that was just refused a token waits for 5.5 s before it asks again.
const patience = 8 * time.Second

// met tells whether all of an episode's faults have befallen somebody.
func (c *Cloud) met(e episode) bool {
	fired := c.cloud.Faults().Fired()
	for _, f := range e.rules {
		if fired[f.Name] == 0 {
			return false
		}
	}
	return true
}

// settled is how old a token is when it was used enough to be believed in. Clients may take a service that refuses one new token after the other for one that
// does not want them.
const settled = 6 * time.Second

func (c *Cloud) begin(e episode) {
	err := c.cloud.SetFaults(e.rules...)
	revoked := 0
	if e.revoke {
		revoked, c.revoked = c.cloud.Issuer().RevokeAll(), time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.err = e.name, errors.Join(c.err, err)
	if revoked > 0 {
		c.fired[revocation]++
	}
}

func (c *Cloud) end() {
	fired := c.cloud.Faults().Fired()
	err := c.cloud.SetFaults()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.err = "", errors.Join(c.err, err)
	for name, n := range fired {
		c.fired[name] += n
	}
}

// Heal ends all faults for good.
func (c *Cloud) Heal() error {
	c.stop()
	c.running.Wait()
	c.wrong.on.Store(false)
	for name, n := range c.few.Fired() {
		c.mu.Lock()
		c.fired[name] = n
		c.mu.Unlock()
	}
	return errors.Join(c.err, c.few.Set())
}

// CloudState is what a cloud saw so far.
type CloudState struct {
	Fired    map[string]int64       `json:"fired"` // by fault; each that there is
	Episode  string                 `json:"episode,omitempty"`
	Requests emulator.RequestCounts `json:"requests"`
	Tokens   emulator.MetadataStats `json:"tokens"`
	Objects  int                    `json:"objects"`
	Bytes    int64                  `json:"bytes"`
}

// State counts.
func (c *Cloud) State() CloudState {
	s := CloudState{Fired: map[string]int64{revocation: 0}, Requests: c.cloud.Requests(), Tokens: c.cloud.Metadata().Stats()}
	for _, f := range sprinkled(1) {
		s.Fired[f.Name] = 0 // so that one that did not fire is seen
	}
	for _, e := range episodes() {
		for _, f := range e.rules {
			s.Fired[f.Name] = 0
		}
	}
	for _, from := range []map[string]int64{c.few.Fired(), c.cloud.Faults().Fired(), c.wrong.fired()} {
		for name, n := range from {
			s.Fired[name] += n
		}
	}
	c.mu.Lock()
	s.Episode = c.now
	for name, n := range c.fired {
		s.Fired[name] += n
	}
	c.mu.Unlock()
	s.Fired[closings] = c.closings.Load()
	for _, o := range c.store.Objects(bucket) {
		s.Objects++
		s.Bytes += o.Size
	}
	return s
}

// Stored counts what lies below each job, HEAD left out.
func (c *Cloud) Stored() map[string]Audit {
	jobs := map[string]Audit{}
	for _, o := range c.store.Objects(bucket) {
		name, ok := strings.CutPrefix(o.Name, root+"/")
		job, object, found := strings.Cut(name, "/")
		if !ok || !found {
			job = o.Name // whatever that is, it is nobody's
		}
		if object == "HEAD" {
			continue
		}
		a := jobs[job]
		a.Job = job
		a.Live++
		a.LiveBytes += o.Size
		jobs[job] = a
	}
	return jobs
}

// StoreURL is where the jobs are, MetadataHost where the tokens come from.
func (c *Cloud) StoreURL() string     { return c.cloud.StoreURL(bucket, root) }
func (c *Cloud) MetadataHost() string { return c.cloud.MetadataHost() }

// Close ends the servers.
func (c *Cloud) Close() error {
	return errors.Join(c.Heal(), c.cloud.Close())
}
