package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	streamName  = "records"
	brokerReady = 20 * time.Second // for what takes milliseconds; a machine under load gets time

	// Atomic batches: the broker syncs once per batch and not once per record, of which a disk may do a few hundred a second. A
	// thousand is the most that it takes in one.
	batchRecords = 1000
	batchBytes   = 4 << 20
)

// broker is an embedded NATS server with one stream.
type broker struct {
	server *server.Server
	token  string
}

// brokerAddress is what a client needs to know.
type brokerAddress struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// startBroker runs a broker on a free port of loopback that keeps its streams below dir.
func startBroker(dir string) (*broker, error) {
	b := &broker{token: rand.Text()} // other users of the machine reach the port as well
	s, err := server.NewServer(&server.Options{
		ServerName: "tidemark-demo", Host: "127.0.0.1", Port: server.RANDOM_PORT, Authorization: b.token,
		JetStream: true, StoreDir: dir, JetStreamMaxMemory: 16 << 20, JetStreamMaxStore: 4 * maxInput,
		SyncAlways: true, // the default syncs every two minutes: acknowledged records could be lost
		NoSigs:     true, NoLog: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	b.server = s
	s.Start()
	if !s.ReadyForConnections(brokerReady) {
		b.close()
		return nil, fmt.Errorf("start the broker: not ready after %s", brokerReady)
	}
	return b, nil
}

func (b *broker) close() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

func (b *broker) address() brokerAddress {
	return brokerAddress{URL: b.server.ClientURL(), Token: b.token}
}

func (a brokerAddress) connect() (*nats.Conn, jetstream.JetStream, error) {
	conn, err := nats.Connect(a.URL, nats.Token(a.Token), nats.Name("tidemark demo"))
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the broker at %s: %w", a.URL, err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("connect to the broker at %s: %w", a.URL, err)
	}
	return conn, js, nil
}

// publish creates the stream and puts the records into it, in order.
func (b *broker) publish(ctx context.Context, records [][]byte) error {
	conn, js, err := b.address().connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: streamName, Storage: jetstream.FileStorage, AllowAtomicPublish: true})
	if err != nil {
		return fmt.Errorf("create stream %s: %w", streamName, err)
	}
	published := 0
	for published < len(records) {
		n, size := 0, 0
		for n < min(batchRecords, len(records)-published) && (n == 0 || size+len(records[published+n]) <= batchBytes) {
			size += len(records[published+n])
			n++
		}
		if err := publishBatch(ctx, conn, records[published:published+n]); err != nil {
			return fmt.Errorf("publish records %d to %d: %w", published+1, published+n, err)
		}
		published += n
	}
	return nil
}

// publishBatch stores all records or none. The client library has no call for it; the headers are those of NATS' ADR-50.
func publishBatch(ctx context.Context, conn *nats.Conn, records [][]byte) error {
	id := rand.Text()
	for i, data := range records {
		m := &nats.Msg{Subject: streamName, Data: data, Header: nats.Header{}}
		m.Header.Set("Nats-Batch-Id", id)
		m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if i < len(records)-1 {
			if err := conn.PublishMsg(m); err != nil {
				return err
			}
			continue
		}
		m.Header.Set("Nats-Batch-Commit", "1")
		ctx, cancel := context.WithTimeout(ctx, brokerReady)
		defer cancel()
		reply, err := conn.RequestMsgWithContext(ctx, m)
		if err != nil {
			return err
		}
		return checkBatch(reply.Data, len(records))
	}
	return nil
}

func checkBatch(reply []byte, want int) error {
	var ack struct {
		Count int                 `json:"count"`
		Error *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(reply, &ack); {
	case err != nil:
		return fmt.Errorf("the broker's reply: %w", err)
	case ack.Error != nil:
		return ack.Error
	case ack.Count != want:
		return fmt.Errorf("the broker stored %d of %d records", ack.Count, want)
	}
	return nil
}

// position is how far the job has read. A sequence number alone would fit a stream of the same name that was created anew.
type position struct {
	Stream   string    `json:"stream"`
	Created  time.Time `json:"created"`
	Sequence uint64    `json:"sequence"`
}

// source reads the stream in order.
type source struct {
	conn     *nats.Conn
	stream   jetstream.Stream
	messages jetstream.MessagesContext
}

func openSource(ctx context.Context, at brokerAddress) (*source, error) {
	conn, js, err := at.connect()
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, streamName)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("open stream %s: %w", streamName, err)
	}
	return &source{conn: conn, stream: stream}, nil
}

func (s *source) close() {
	if s.messages != nil {
		s.messages.Stop()
	}
	s.conn.Close()
}

// at is the position after the record with that number.
func (s *source) at(sequence uint64) position {
	info := s.stream.CachedInfo()
	return position{Stream: info.Config.Name, Created: info.Created, Sequence: sequence}
}

// seek makes next go on after p, which has to be a position in this very stream.
func (s *source) seek(ctx context.Context, p position) error {
	here := s.at(0)
	if p.Stream != here.Stream || !p.Created.Equal(here.Created) {
		return fmt.Errorf("the checkpoint's position is in stream %s of %s, but this is %s of %s: the stream was created anew",
			p.Stream, p.Created.Format(time.RFC3339Nano), here.Stream, here.Created.Format(time.RFC3339Nano))
	}
	consumer, err := s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: p.Sequence + 1,
	})
	if err != nil {
		return fmt.Errorf("read stream %s from record %d: %w", streamName, p.Sequence+1, err)
	}
	s.messages, err = consumer.Messages()
	if err != nil {
		return fmt.Errorf("read stream %s from record %d: %w", streamName, p.Sequence+1, err)
	}
	return nil
}

// next waits for the next record.
func (s *source) next(ctx context.Context) (sequence uint64, data []byte, err error) {
	m, err := s.messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil, context.Cause(ctx)
		}
		return 0, nil, fmt.Errorf("read stream %s: %w", streamName, err)
	}
	meta, err := m.Metadata()
	if err != nil {
		return 0, nil, errors.Join(fmt.Errorf("read stream %s: not a message of the stream", streamName), err)
	}
	return meta.Sequence.Stream, m.Data(), nil
}
