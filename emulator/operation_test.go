package emulator

import (
	"net/http"
	"testing"
)

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		method, url string
		want        target
	}{
		{"POST", "/upload/storage/v1/b/b/o?uploadType=multipart&name=a%2Fb", target{OpInsert, "b", "a/b"}},
		{"PUT", "/upload/storage/v1/b/b/o?name=a%2Fb&upload_id=7", target{OpChunk, "b", "a/b"}},
		{"GET", "/storage/v1/b/b/o?prefix=x", target{OpList, "b", ""}},
		{"GET", "/storage/v1/b/b/o/a%2Fb", target{OpStat, "b", "a/b"}},
		{"GET", "/storage/v1/b/b/o/a/b", target{OpStat, "b", "a/b"}},
		{"GET", "/storage/v1/b/b/o/a%2Fb?alt=media", target{OpRead, "b", "a/b"}},
		{"GET", "/download/storage/v1/b/b/o/a%2Fb?alt=media", target{OpRead, "b", "a/b"}},
		{"DELETE", "/storage/v1/b/b/o/a%2Fcompose", target{OpDelete, "b", "a/compose"}},
		{"POST", "/storage/v1/b/b/o/a%2Fb/compose", target{OpCompose, "b", "a/b"}},
		{"POST", "/storage/v1/b/b/o/a%2Fb/rewriteTo/b/c/o/d", target{OpCopy, "b", "a/b"}},
		{"POST", "/storage/v1/b/b/o/a/restore", target{OpPatch, "b", "a"}},
		{"GET", "/storage/v1/b/b/o/a/acl", target{OpOther, "b", "a"}},
		{"PATCH", "/storage/v1/b/b/o/a", target{OpPatch, "b", "a"}},
		{"GET", "/storage/v1/b/b", target{OpBucket, "b", ""}},
		{"PATCH", "/storage/v1/b/b", target{OpAdmin, "b", ""}},
		{"GET", "/storage/v1/b?project=p", target{OpAdmin, "", ""}},
		{"GET", "/b/a/b%20c", target{OpRead, "b", "a/b c"}},
		{"HEAD", "/b/a", target{OpStat, "b", "a"}},
		{"PUT", "/b/a", target{OpInsert, "b", "a"}},
		{"PUT", "/b/a?partNumber=1&uploadId=2", target{OpChunk, "b", "a"}},
		{"POST", "/b/a?uploadId=2", target{OpInsert, "b", "a"}},
		{"DELETE", "/b/a", target{OpDelete, "b", "a"}},
		{"GET", "/b?list-type=2", target{OpList, "b", ""}},
		{"POST", "/b?delete", target{OpDelete, "b", ""}},
		{"PUT", "/b", target{OpAdmin, "b", ""}},
		{"GET", "/", target{OpAdmin, "", ""}},
	} {
		r, err := http.NewRequest(tc.method, "http://storage"+tc.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := classify(r); got != tc.want {
			t.Errorf("%s %s: got %+v, want %+v", tc.method, tc.url, got, tc.want)
		}
		if !tc.want.op.valid() {
			t.Errorf("%s is no valid operation", tc.want.op)
		}
	}
}
