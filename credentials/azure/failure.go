package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/tidemark-go/tidemark/credentials"
)

// failure classifies an error of azidentity.
func failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &credentials.Error{Kind: credentials.Unavailable, Source: name, Err: ctx.Err(), Remedy: "retry"}
	}
	e := &credentials.Error{Kind: credentials.Unavailable, Source: name, Err: errors.New(flat(err.Error())), Remedy: "retry"}
	var (
		refused *azidentity.AuthenticationFailedError
		network net.Error
	)
	switch {
	case errors.As(err, &refused) && refused.RawResponse != nil:
		answered(e, refused.RawResponse)
	case errors.As(err, &network), errors.As(err, &refused):
	default:
		e.Kind, e.Remedy = credentials.Misconfigured, "give this machine or pod an identity, set AZURE_TENANT_ID, AZURE_CLIENT_ID and a secret, or run az login"
	}
	return e
}

// answered reads what Entra, or the machine's metadata server, said (RFC 6749, section 5.2).
func answered(e *credentials.Error, r *http.Response) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 64<<10)) // azidentity keeps it; what there is of it is good for a message only
	var said struct {
		Code   string `json:"error"`
		Detail string `json:"error_description"`
	}
	text := fmt.Sprintf("HTTP %d %s", r.StatusCode, http.StatusText(r.StatusCode))
	if json.Unmarshal(body, &said) == nil && said.Code != "" {
		first, _, _ := strings.Cut(said.Detail, "\n")
		text += ": " + flat(said.Code+" "+first)
	}
	if r.Request != nil {
		text = r.Request.URL.Host + ": " + text // the path and query may name the tenant, and hold a secret
	}
	e.Err = errors.New(text)
	switch {
	case r.StatusCode >= 500 || r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusRequestTimeout || r.StatusCode == http.StatusGone,
		said.Code == "temporarily_unavailable":
		if seconds, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil && seconds > 0 {
			e.RetryAfter = time.Duration(seconds) * time.Second
		}
	case said.Code == "" && r.StatusCode < 400, strings.Contains(r.Header.Get("Content-Type"), "html"):
		e.Remedy = "see what answers at this address: is there a proxy in between?"
	case said.Code == "invalid_request" || said.Code == "invalid_scope" || r.StatusCode == http.StatusNotFound:
		e.Kind, e.Remedy = credentials.Misconfigured, "check AZURE_TENANT_ID, AZURE_CLIENT_ID and the identities of this machine or pod"
	default:
		e.Kind, e.Remedy = credentials.Refused, "check the secret or certificate, the federation of the workload's identity, and that the application exists"
	}
}

// flat is a text of many lines on one.
func flat(text string) string {
	const enough = 600
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > enough {
		text = strings.ToValidUTF8(text[:enough], "") + "…"
	}
	return text
}
