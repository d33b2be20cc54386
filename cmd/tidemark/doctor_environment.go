package main

import (
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/tidemark-go/tidemark/credentials"
)

// emulatorHost warns of a variable that redirects Google's storage clients and makes them send no token.
func (d *doctor) emulatorHost() {
	const name, variable = "emulator-host", "STORAGE_EMULATOR_HOST"
	value := os.Getenv(variable)
	switch {
	case value == "":
		d.add(check{Name: name, Detail: variable + " is not set"})
	case d.target != nil && d.target.Query().Has("endpoint"):
		d.add(check{Name: name, Detail: variable + " is " + hostOf(value) + "; the store's URL names its own endpoint"})
	default:
		d.add(check{Name: name, Severity: warning,
			Detail: variable + " is " + hostOf(value) + ": gs:// goes there and not to Google, and Google's libraries send no token",
			Hint:   "unset " + variable + "; to use another server on purpose, give the store's URL an ?endpoint="})
	}
}

// hostOf is the host of a URL, or of what stands for one: the rest may hold a secret.
func hostOf(text string) string {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "[not a host]"
	}
	return u.Host
}

// googleHosts are the names of the metadata server on Google Cloud.
var googleHosts = map[string]bool{credentials.MetadataHost: true, "metadata.google.internal": true, "metadata.google.internal.": true, "metadata": true, "fd20:ce::254": true}

// metadataHost tells who is asked for tokens: whoever it is chooses who this process is.
func (d *doctor) metadataHost() {
	const name, variable = "metadata-host", "GCE_METADATA_HOST"
	value := strings.TrimSpace(os.Getenv(variable))
	bare := hostOf(value)
	u := url.URL{Host: bare}
	ip, _ := netip.ParseAddr(u.Hostname())
	switch {
	case value == "":
		d.add(check{Name: name, Detail: "Google's own, " + credentials.MetadataHost})
	case bare != value:
		d.add(check{Name: name, Severity: warning, Detail: variable + " is not of the form host or host:port; other programs will not understand it",
			Hint: "set " + variable + "=" + bare})
	case googleHosts[u.Hostname()]:
		d.add(check{Name: name, Detail: "Google's own, " + bare})
	case u.Hostname() == "localhost", ip.Unmap().IsLoopback():
		d.add(check{Name: name, Detail: variable + " is " + bare + ", on this machine: a sidecar or an emulator"})
	default:
		d.add(check{Name: name, Severity: warning,
			Detail: variable + " is " + bare + ", neither Google's nor this machine: tokens cross the network in the clear, and it chooses which account this is",
			Hint:   "unset " + variable + ", or run `tidemark metadata serve` on this machine"})
	}
}

// proxies tells which requests a proxy sees. One for the metadata server answers for another machine.
func (d *doctor) proxies() {
	const name = "proxy"
	if d.metadata != nil {
		for _, scheme := range []string{"http", "https"} {
			through, err := d.proxyOf(scheme + "://" + d.metadata.host + "/")
			if err != nil {
				d.add(check{Name: name, Severity: warning, Detail: "the proxy of the environment is not a URL",
					Hint: "correct HTTP_PROXY and HTTPS_PROXY: http://host:port"})
				return
			}
			if through != "" {
				host := (&url.URL{Host: d.metadata.host}).Hostname()
				d.add(check{Name: name, Severity: warning,
					Detail: "other programs ask the proxy " + through + " for this machine's tokens (tidemark goes straight to the metadata server)",
					Hint:   "add " + host + " and metadata.google.internal to NO_PROXY"})
				return
			}
		}
	}
	endpoint := "https://storage.googleapis.com"
	if d.target != nil && d.target.Query().Has("endpoint") {
		endpoint = d.target.Query().Get("endpoint")
	}
	through, err := d.proxyOf(endpoint)
	switch {
	case err != nil:
		d.add(check{Name: name, Severity: warning, Detail: "the proxy of the environment is not a URL", Hint: "correct HTTP_PROXY and HTTPS_PROXY: http://host:port"})
	case through != "":
		d.add(check{Name: name, Detail: "requests to " + hostOf(endpoint) + " go through " + through})
	default:
		d.add(check{Name: name, Detail: "none for these requests"})
	}
}

// proxyOf is the host of the proxy for a URL, without the password that it may need.
func (d *doctor) proxyOf(target string) (string, error) {
	req, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		return "", nil // no such request will be sent either
	}
	u, err := d.proxyFor(req)
	if err != nil || u == nil {
		return "", err
	}
	return u.Host, nil
}
