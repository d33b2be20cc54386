package emulator

import (
	"cmp"
	"net/http"
	"strings"
)

// principal is who all callers are: tokens carry no name that this server could read.
const principal = "tidemark@emulator-project.iam.gserviceaccount.com"

// authenticate checks the request's token.
func (s *Storage) authenticate(c *call, r *http.Request) error {
	if s.opts.Authorize == nil {
		return nil
	}
	header := r.Header.Get("Authorization")
	scheme, bearer, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		bearer = ""
	}
	err := s.opts.Authorize(bearer)
	switch {
	case err == nil:
		return nil
	case header == "":
		return errAnonymous(c)
	}
	return errToken()
}

// admit checks the request's token and permission.
func (s *Storage) admit(c *call, r *http.Request) error {
	if err := s.authenticate(c, r); err != nil {
		return err
	}
	if c.to == "" {
		return s.permit(r, c.bucket, c.object, c.permission)
	}
	if err := s.permit(r, c.bucket, c.object, "storage.objects.get"); err != nil {
		return err
	}
	return s.permit(r, c.toBucket, c.to, c.permission)
}

func (s *Storage) permit(r *http.Request, bucket, object, permission string) error {
	if s.opts.Forbid == nil {
		return nil
	}
	named, denied := s.opts.Forbid(r.Method, bucket, object)
	if !denied {
		return nil
	}
	return errForbidden(cmp.Or(named, permission))
}

func errToken() error {
	return &storageError{status: http.StatusUnauthorized, reason: "authError", code: "AuthenticationRequired",
		message: "Invalid Credentials", header: "Authorization"}
}

// errAnonymous is what GCS says without a token: through the XML API it is 403, not 401.
func errAnonymous(c *call) error {
	e := denied("Anonymous caller", c.permission)
	e.status, e.reason, e.header = http.StatusUnauthorized, "required", "Authorization"
	if c.api == apiXML {
		e.status = http.StatusForbidden
	}
	return e
}

func errForbidden(permission string) error { return denied(principal, permission) }

func denied(who, permission string) *storageError {
	kind := "object"
	if strings.HasPrefix(permission, "storage.buckets.") || permission == "storage.objects.list" {
		kind = "bucket"
	}
	message := who + " does not have " + permission + " access to the Google Cloud Storage " + kind +
		". Permission '" + permission + "' denied on resource (or it may not exist)."
	return &storageError{status: http.StatusForbidden, reason: "forbidden", code: "AccessDenied", message: message}
}
