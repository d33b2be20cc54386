package demo

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func newBroker(t *testing.T, records int) *broker {
	t.Helper()
	b, err := startBroker(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	messages := make([][]byte, records)
	for i := range messages {
		messages[i] = fmt.Appendf(nil, `{"n":%d}`, i+1)
	}
	if err := b.publish(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
	return b
}

func newSource(t *testing.T, b *broker) *source {
	t.Helper()
	s, err := openSource(t.Context(), b.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func TestStreamIsReadInOrderFromAnyPosition(t *testing.T) {
	const records = 2*batchRecords + 3 // the last batch is not full
	b := newBroker(t, records)
	for _, after := range []uint64{0, 1, 999, 1000, records - 1} {
		s := newSource(t, b)
		if err := s.seek(t.Context(), s.at(after)); err != nil {
			t.Fatal(err)
		}
		for want := after + 1; want <= records; want++ {
			sequence, data, err := s.next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if sequence != want || string(data) != fmt.Sprintf(`{"n":%d}`, want) {
				t.Fatalf("after %d: record %d is %s, want %d", after, sequence, data, want)
			}
		}
	}
}

// A position is of one stream: in another one of the same name, its number means something else.
func TestPositionInARecreatedStreamIsRefused(t *testing.T) {
	b := newBroker(t, 10)
	before := newSource(t, b).at(5)
	conn, js, err := b.address().connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := js.DeleteStream(t.Context(), streamName); err != nil {
		t.Fatal(err)
	}
	if err := b.publish(t.Context(), [][]byte{[]byte(`{"n":1}`)}); err != nil {
		t.Fatal(err)
	}
	if err := newSource(t, b).seek(t.Context(), before); err == nil || !strings.Contains(err.Error(), "created anew") {
		t.Errorf("error %v", err)
	}
	other := before
	other.Stream, other.Created = "other", newSource(t, b).at(0).Created
	if err := newSource(t, b).seek(t.Context(), other); err == nil {
		t.Error("a position in a stream of another name was accepted")
	}
}

func TestBrokerRefusesStrangers(t *testing.T) {
	b := newBroker(t, 1)
	conn, _, err := brokerAddress{URL: b.address().URL, Token: "wrong"}.connect()
	if err == nil {
		conn.Close()
		t.Error("a client with another token was let in")
	}
}

func TestBatchThatWasNotStoredIsAnError(t *testing.T) {
	for reply, ok := range map[string]bool{
		`{"stream":"records","seq":7,"batch":"b","count":7}`:                               true,
		`{"stream":"records","seq":7}`:                                                     false, // stored as a single message
		`{"error":{"code":400,"err_code":10176,"description":"batch publish incomplete"}}`: false,
		`-ERR`: false,
	} {
		if err := checkBatch([]byte(reply), 7); (err == nil) != ok {
			t.Errorf("%s: %v", reply, err)
		}
	}
}

func TestPositionSurvivesBeingWrittenDown(t *testing.T) {
	b := newBroker(t, 3)
	written, err := json.Marshal(newSource(t, b).at(2))
	if err != nil {
		t.Fatal(err)
	}
	var read position
	if err := json.Unmarshal(written, &read); err != nil {
		t.Fatal(err)
	}
	s := newSource(t, b)
	if err := s.seek(t.Context(), read); err != nil {
		t.Fatal(err)
	}
	if sequence, _, err := s.next(t.Context()); err != nil || sequence != 3 {
		t.Errorf("record %d, %v", sequence, err)
	}
}
