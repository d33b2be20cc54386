package emulator

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// controlPath is where every server of the cloud takes commands, past its faults.
const controlPath = "/_emulator/"

// control answers commands and lets everything else pass:
//
//	GET, PUT, DELETE /_emulator/faults    the rules as JSON (see Fault); PUT replaces them, DELETE ends them
//	GET /_emulator/fired                  how often each rule took effect
//	GET, DELETE /_emulator/requests       RequestCounts of the storage server; DELETE starts again
//	GET /_emulator/metadata               MetadataStats
//	DELETE /_emulator/tokens              revokes every token
func (c *Cloud) control(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	handle := func(method, name string, f func(r *http.Request) (any, error)) {
		mux.HandleFunc(method+" "+controlPath+name, func(w http.ResponseWriter, r *http.Request) {
			reply, err := f(r)
			if err != nil {
				apiError(w, http.StatusBadRequest, err.Error())
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(reply)
		})
	}
	handle("GET", "faults", func(*http.Request) (any, error) { return c.faults.Rules(), nil })
	handle("PUT", "faults", func(r *http.Request) (any, error) {
		body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxForm))
		if err != nil {
			return nil, err
		}
		rules, err := ParseFaults(body)
		if err != nil {
			return nil, err
		}
		if err := c.faults.Set(rules...); err != nil {
			return nil, err
		}
		return c.faults.Rules(), nil
	})
	handle("DELETE", "faults", func(*http.Request) (any, error) { return []Fault{}, c.faults.Set() })
	handle("GET", "fired", func(*http.Request) (any, error) { return c.faults.Fired(), nil })
	handle("GET", "requests", func(*http.Request) (any, error) { return c.Requests(), nil })
	handle("DELETE", "requests", func(*http.Request) (any, error) {
		c.ResetRequests()
		return c.Requests(), nil
	})
	handle("GET", "metadata", func(*http.Request) (any, error) { return c.metadata.Stats(), nil })
	handle("DELETE", "tokens", func(*http.Request) (any, error) {
		return map[string]int{"revoked": c.issuer.RevokeAll()}, nil
	})
	// ServeMux cleans paths and would redirect object names with empty or dot segments: only commands go through it.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, controlPath) {
			mux.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
