package credentials

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// minEcho is how much of a token an answer must end with to be taken for a token that was cut off.
const minEcho = 8

// withoutEcho keeps the token out of an answer that is no success. Some servers, and proxies before them, repeat there what they were
// sent, and whoever reads the answer puts it into errors and logs.
func withoutEcho(resp *http.Response, token *Token) *http.Response {
	if resp.StatusCode < http.StatusMultipleChoices || resp.Body == nil {
		return resp
	}
	for _, values := range resp.Header {
		for i := range values {
			values[i] = strings.ReplaceAll(values[i], token.Value(), redacted)
		}
	}
	resp.Body = &masked{ReadCloser: resp.Body, secret: func() string { return token.Value() }}
	return resp
}

// masked is a body with a secret overwritten. It stays as long as it is, so that its declared length stays right.
type masked struct {
	io.ReadCloser
	secret func() string // a function, since fmt reads fields
	buffer []byte        // what was read and not handed on
	clean  int           // so much of it can be handed on
	err    error
}

func (m *masked) Read(p []byte) (int, error) {
	for m.clean == 0 && m.err == nil {
		m.fill()
	}
	n := copy(p, m.buffer[:m.clean])
	m.buffer, m.clean = m.buffer[n:], m.clean-n
	if m.clean == 0 && m.err != nil {
		return n, m.err
	}
	return n, nil
}

// fill reads on, and holds back what may be the beginning of the secret.
func (m *masked) fill() {
	secret := []byte(m.secret())
	m.buffer = append(m.buffer, make([]byte, 4<<10)...)
	room := m.buffer[len(m.buffer)-4<<10:]
	n, err := m.ReadCloser.Read(room)
	m.buffer, m.err = m.buffer[:len(m.buffer)-len(room)+n], err
	for {
		at := bytes.Index(m.buffer, secret)
		if at < 0 {
			break
		}
		blot(m.buffer[at : at+len(secret)])
	}
	if m.err == nil {
		m.clean = max(0, len(m.buffer)-len(secret)+1)
		return
	}
	m.clean = len(m.buffer)
	for n := min(len(secret), len(m.buffer)); n >= minEcho; n-- {
		if tail := m.buffer[len(m.buffer)-n:]; bytes.HasPrefix(secret, tail) {
			blot(tail)
			break
		}
	}
}

func blot(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}
