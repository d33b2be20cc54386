package emulator

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// maxPage is how many objects and prefixes GCS returns at once.
const maxPage = 1000

// listQuery is what a listing asks for.
type listQuery struct {
	prefix, delimiter  string
	from, until        string // until is not in the listing; empty for no end
	after              string // where the page before ended
	limit              int
	trailingDelimiters bool
}

type listPage struct {
	objects  []*object
	prefixes []string
	next     string // page token
}

func (s *Storage) list(w http.ResponseWriter, r *http.Request, c *call) error {
	q := listQuery{
		prefix: c.query.Get("prefix"), delimiter: c.query.Get("delimiter"),
		from: c.query.Get("startOffset"), until: c.query.Get("endOffset"), limit: maxPage,
		trailingDelimiters: c.query.Get("includeTrailingDelimiter") == "true",
	}
	limit, err := number("maxResults", c.query.Get("maxResults"))
	if err != nil {
		return err
	}
	if limit != nil && *limit > 0 {
		q.limit = int(min(*limit, maxPage))
	}
	after, err := base64.URLEncoding.DecodeString(c.query.Get("pageToken"))
	if err != nil {
		return errInvalid("Invalid value for pageToken: it is none of this server's")
	}
	q.after = string(after)

	page, err := s.page(c.bucket, q)
	if err != nil {
		return err
	}
	items := make([]*objectResource, len(page.objects))
	for i, o := range page.objects {
		items[i] = o.resource(r)
	}
	reply(w, http.StatusOK, struct {
		Kind     string            `json:"kind"`
		Next     string            `json:"nextPageToken,omitempty"`
		Prefixes []string          `json:"prefixes,omitempty"`
		Items    []*objectResource `json:"items,omitempty"`
	}{"storage#objects", page.next, page.prefixes, items})
	return nil
}

func (s *Storage) page(bucket string, q listQuery) (listPage, error) {
	if err := s.lookBucket(bucket); err != nil {
		return listPage{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[bucket]
	if b == nil {
		return listPage{}, errNoBucket()
	}
	return b.objects.page(q), nil
}

// page takes steps in proportion to what it returns: of a prefix that stands for many objects it looks at the first.
func (x *index) page(q listQuery) (page listPage) {
	n := x.seek(max(q.prefix, q.from, q.after))
	last := "" // the name or prefix where the page ends so far
	for n != nil {
		o := n.object
		if !strings.HasPrefix(o.name, q.prefix) || (q.until != "" && o.name >= q.until) {
			return page
		}
		group, grouped := q.group(o.name)
		if len(page.objects)+len(page.prefixes) == q.limit {
			page.next = base64.URLEncoding.EncodeToString([]byte(last))
			return page
		}
		if !grouped {
			page.objects = append(page.objects, o)
			last = o.name + "\x00" // the first name that comes after
			n = n.next[0]
			continue
		}
		page.prefixes = append(page.prefixes, group)
		if q.trailingDelimiters && o.name == group {
			page.objects = append(page.objects, o)
		}
		after, ok := afterPrefix(group)
		if !ok {
			return page
		}
		last = after
		n = x.seek(after)
	}
	return page
}

// group returns the prefix that stands for name in the listing, if one does.
func (q *listQuery) group(name string) (prefix string, ok bool) {
	if q.delimiter == "" {
		return "", false
	}
	at := strings.Index(name[len(q.prefix):], q.delimiter)
	if at < 0 {
		return "", false
	}
	return name[:len(q.prefix)+at+len(q.delimiter)], true
}

// afterPrefix returns the first string that comes after everything that begins with prefix; there is none after a
// prefix of 0xff bytes alone.
func afterPrefix(prefix string) (string, bool) {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1}), true
		}
	}
	return "", false
}
