package bucketstore

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

var azureEnv = map[string]string{"AZURE_STORAGE_ACCOUNT": "acme", "AZURE_STORAGE_KEY": "UExBTlRFRA=="}

// azureAt opens the container "flows" at a handler.
func azureAt(t *testing.T, h http.HandlerFunc) *Azure {
	t.Helper()
	srv := httptest.NewServer(h)
	s, err := OpenAzure(nil, "flows", &AzureOptions{Endpoint: srv.URL, LookupEnv: lookup(azureEnv)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	return s
}

// azureSays answers everything in the form of the service.
func azureSays(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ms-Version", azureVersion)
		w.Header().Set("X-Ms-Error-Code", code)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "\uFEFF<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>%s</Code><Message>%s\nRequestId:1\nTime:2</Message>"+
			"<AuthenticationErrorDetail>string to sign PLANTED</AuthenticationErrorDetail></Error>", code, message)
	}
}

// TestAzureAnswers lists what Azure, and what stands before it, can say, and what it means.
func TestAzureAnswers(t *testing.T) {
	all := func(k objstore.Kind) map[string]objstore.Kind {
		return map[string]objstore.Kind{"get": k, "put": k, "stat": k, "range": k, "delete": k, "list": k, "dirs": k}
	}
	but := func(kinds map[string]objstore.Kind, k objstore.Kind, ops ...string) map[string]objstore.Kind {
		for _, op := range ops {
			kinds[op] = k
		}
		return kinds
	}
	nothing := objstore.KindUnknown // and no error
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want map[string]objstore.Kind
		text string
	}{
		"a token that is none": {azureSays(401, "InvalidAuthenticationInfo", "Server failed to authenticate"), all(objstore.KindCredentials), "InvalidAuthenticationInfo"},
		"a wrong signature":    {azureSays(403, "AuthenticationFailed", "Server failed to authenticate"), all(objstore.KindCredentials), "AuthenticationFailed"},
		"keys are not allowed": {azureSays(403, "KeyBasedAuthenticationNotPermitted", "no"), all(objstore.KindCredentials), "KeyBased"},
		"a role is missing":    {azureSays(403, "AuthorizationPermissionMismatch", "This request is not authorized"), all(objstore.KindPermission), "containers/blobs/"},
		"a firewall":           {azureSays(403, "AuthorizationFailure", "This request is not authorized"), all(objstore.KindPermission), "AuthorizationFailure"},
		"no blob": {azureSays(404, "BlobNotFound", "The specified blob does not exist."),
			but(but(but(all(objstore.KindNotFound), nothing, "delete"), objstore.KindPrecondition, "put"), objstore.KindInvalid, "list", "dirs"), ""},
		"no container":   {azureSays(404, "ContainerNotFound", "The specified container does not exist."), all(objstore.KindInvalid), ""},
		"there is one":   {azureSays(409, "BlobAlreadyExists", "The specified blob already exists."), all(objstore.KindPrecondition), ""},
		"it goes away":   {azureSays(409, "ContainerBeingDeleted", "wait"), all(objstore.KindUnavailable), ""},
		"another one":    {azureSays(412, "ConditionNotMet", "The condition is not met"), all(objstore.KindPrecondition), ""},
		"a lease":        {azureSays(412, "LeaseIdMissing", "There is currently a lease on the blob"), all(objstore.KindPermission), "Lease"},
		"immutable":      {azureSays(409, "BlobImmutableDueToPolicy", "no"), all(objstore.KindPermission), ""},
		"beyond its end": {azureSays(416, "InvalidRange", "The range is invalid"), all(objstore.KindCorrupt), ""},
		"too many":       {azureSays(429, "TooManyRequests", "slow down"), all(objstore.KindThrottled), ""},
		"busy":           {azureSays(503, "ServerBusy", "The server is busy."), all(objstore.KindThrottled), ""},
		"trouble":        {azureSays(500, "InternalError", "oh"), all(objstore.KindUnavailable), ""},
		"timed out":      {azureSays(500, "OperationTimedOut", "oh"), all(objstore.KindUnavailable), ""},
		"damaged":        {azureSays(400, "Md5Mismatch", "oh"), all(objstore.KindUnavailable), ""},
		"nonsense":       {azureSays(400, "InvalidHeaderValue", "oh"), all(objstore.KindInvalid), ""},
		"too large":      {azureSays(413, "RequestBodyTooLarge", "oh"), all(objstore.KindTooLarge), ""},
		"a proxy": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", html)
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, nginx)
		}, all(objstore.KindUnavailable), ""},
		"a portal": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", html)
			_, _ = io.WriteString(w, page)
		}, but(all(objstore.KindUnavailable), nothing, "delete"), ""},
		"elsewhere": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://login.example/?PLANTED")
			w.WriteHeader(http.StatusFound)
		}, all(objstore.KindUnavailable), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := azureAt(t, c.h)
			for op, err := range everyOp(t.Context(), s) {
				if want := c.want[op]; objstore.KindOf(err) != want || (want == nothing) != (err == nil) {
					t.Errorf("%s: %v, want %v", op, err, want)
				}
				if err != nil && (strings.Contains(err.Error(), "PLANTED") || strings.Contains(err.Error(), "RequestId") || !strings.Contains(err.Error(), c.text)) {
					t.Errorf("%s says %q", op, err)
				}
			}
		})
	}
}

// What a request asks for is in its headers; a lost signature in an error would be as good as a key.
func TestAzureRequests(t *testing.T) {
	var seen []*http.Request
	s := azureAt(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen = append(seen, r)
		w.Header().Set("ETag", `"0x1"`)
		w.Header().Set("X-Ms-Version", azureVersion)
		w.WriteHeader(http.StatusCreated)
	})
	if v, err := s.Put(t.Context(), "a/k", []byte("body"), objstore.Absent); err != nil || v != `"0x1"` {
		t.Fatalf("%q, %v", v, err)
	}
	if _, err := s.Put(t.Context(), "a/k", []byte("body"), `"0x0"`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "a/k", []byte("body"), "7"); objstore.KindOf(err) != objstore.KindPrecondition {
		t.Errorf("a version of another store: %v", err)
	}
	first, second := seen[0], seen[1]
	if first.Header.Get("If-None-Match") != "*" || second.Header.Get("If-Match") != `"0x0"` || first.URL.Path != "/flows/a/k" || first.ContentLength != 4 ||
		!strings.HasPrefix(first.Header.Get("Authorization"), "SharedKey acme:") || len(seen) != 2 {
		t.Errorf("%+v\n%+v", first, second)
	}
}

// A blob that arrives with other bytes than were stored is not taken for it.
func TestAzureChecksum(t *testing.T) {
	s := azureAt(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"0x1"`)
		w.Header().Set("X-Ms-Version", azureVersion)
		w.Header().Set(azureSum, fmt.Sprintf("%08x", objstore.CRC32C([]byte("stored"))))
		_, _ = io.WriteString(w, "others")
	})
	if _, _, err := s.Get(t.Context(), "k", 10); objstore.KindOf(err) != objstore.KindCorrupt {
		t.Errorf("%v", err)
	}
}

// An account with a hierarchical namespace lists directories, and in another order.
func TestAzureHierarchy(t *testing.T) {
	for name, blobs := range map[string]string{
		"directory": `<Blob><Name>a</Name><Properties><ResourceType>directory</ResourceType></Properties></Blob>`,
		"order":     `<Blob><Name>a/b</Name><Properties/></Blob><Blob><Name>a-b</Name><Properties/></Blob>`,
	} {
		t.Run(name, func(t *testing.T) {
			s := azureAt(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/xml")
				_, _ = io.WriteString(w, xml.Header+"<EnumerationResults><Blobs>"+blobs+"</Blobs><NextMarker/></EnumerationResults>")
			})
			var last error
			for _, err := range s.List(t.Context(), "") {
				last = err
			}
			if objstore.KindOf(last) != objstore.KindUnsupported {
				t.Errorf("%v", last)
			}
		})
	}
}

func TestAzurePages(t *testing.T) {
	pages := 0
	s := azureAt(t, func(w http.ResponseWriter, r *http.Request) {
		at, _ := strconv.Atoi(r.URL.Query().Get("marker"))
		pages++
		w.Header().Set("Content-Type", "application/xml")
		next := ""
		if at < 2 {
			next = strconv.Itoa(at + 1)
		}
		_, _ = fmt.Fprintf(w, "\uFEFF%s<EnumerationResults><Blobs><Blob><Name Encoded=\"true\">k%d%%EF%%BF%%BF</Name><Properties><Etag>0x%d</Etag>"+
			"<Content-Length>3</Content-Length></Properties></Blob></Blobs><NextMarker>%s</NextMarker></EnumerationResults>", xml.Header, at, at, next)
	})
	var keys []string
	for info, err := range s.ListAfter(t.Context(), "", "k0\uFFFF") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key+string(info.Version))
	}
	if strings.Join(keys, " ") != "k1\uFFFF\"0x1\" k2\uFFFF\"0x2\"" || pages != 3 {
		t.Errorf("%q on %d pages", keys, pages)
	}
}

func TestAzureAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		o    AzureOptions
		want string // the base, or what the error says
	}{
		"account":           {azureEnv, AzureOptions{}, "https://acme.blob.core.windows.net/flows"},
		"another account":   {azureEnv, AzureOptions{Account: "other"}, "is that of acme, not of other"},
		"domain":            {map[string]string{"AZURE_STORAGE_ACCOUNT": "acme", "AZURE_STORAGE_KEY": "bm8=", "AZURE_STORAGE_DOMAIN": "blob.core.chinacloudapi.cn"}, AzureOptions{}, "https://acme.blob.core.chinacloudapi.cn/flows"},
		"connection string": {map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=bm8=;EndpointSuffix=core.windows.net"}, AzureOptions{}, "https://acme.blob.core.windows.net/flows"},
		"half of one":       {map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "AccountName=acme"}, AzureOptions{}, "neither AccountKey nor"},
		"none":              {map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "PLANTED"}, AzureOptions{}, "is not made of"},
		"no account":        {nil, AzureOptions{}, "which storage account"},
		"no authority":      {map[string]string{"AZURE_STORAGE_ACCOUNT": "acme"}, AzureOptions{}, "no HTTP client brings tokens"},
		"plain http":        {azureEnv, AzureOptions{Endpoint: "http://acme.example"}, "is not encrypted"},
		"no key":            {map[string]string{"AZURE_STORAGE_ACCOUNT": "acme", "AZURE_STORAGE_KEY": "PLANTED!"}, AzureOptions{}, "not base64"},
		"no signature":      {map[string]string{"AZURE_STORAGE_ACCOUNT": "acme", "AZURE_STORAGE_SAS_TOKEN": "sv=PLANTED"}, AzureOptions{}, "has no sig"},
		"a secret in it":    {azureEnv, AzureOptions{Endpoint: "https://acme.blob.core.windows.net/?sig=PLANTED"}, "is not of the form"},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.LookupEnv = lookup(c.env)
			s, err := OpenAzure(nil, "flows", &c.o)
			got := fmt.Sprint(err)
			if err == nil {
				got = s.base.String()
				defer func() { _ = s.Close() }()
			}
			if !strings.Contains(got, c.want) || strings.Contains(got, "PLANTED") || strings.Contains(fmt.Sprintf("%+v", s), "UExBTlRFRA") {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// An error of the network holds no part of the address, which may hold a signature.
func TestAzureUnreachable(t *testing.T) {
	s, err := OpenAzure(nil, "flows", &AzureOptions{Endpoint: "http://127.0.0.1:1", LookupEnv: lookup(map[string]string{"AZURE_STORAGE_SAS_TOKEN": "sig=PLANTED"})})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for op, err := range everyOp(t.Context(), s) {
		if objstore.KindOf(err) != objstore.KindUnavailable || strings.Contains(err.Error(), "PLANTED") {
			t.Errorf("%s: %v", op, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if _, err := s.Stat(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
}
