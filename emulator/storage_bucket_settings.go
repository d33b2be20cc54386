package emulator

import (
	"strconv"
	"time"
)

// BucketSettings are what a bucket says of itself when it is asked. They are shown only: nothing is deleted by a lifecycle
// rule, and no retention or hold keeps anything from being deleted. The zero value is a bucket with everything off.
type BucketSettings struct {
	StorageClass   string // STANDARD if empty
	Lifecycle      []LifecycleRule
	Retention      time.Duration // of the retention policy; zero for none
	EventBasedHold bool          // new objects are held
	SoftDelete     time.Duration // how long deleted objects are kept; zero for not at all. GCS's own default is 7 days
	Versioning     bool
}

// LifecycleRule is a rule of a bucket's lifecycle, as the JSON API has it.
type LifecycleRule struct {
	Action    LifecycleAction    `json:"action"`
	Condition LifecycleCondition `json:"condition"`
}

// LifecycleAction is what a rule does: Delete, SetStorageClass or AbortIncompleteMultipartUpload.
type LifecycleAction struct {
	Type         string `json:"type"`
	StorageClass string `json:"storageClass,omitempty"`
}

// LifecycleCondition is when it does so; all that is set must hold.
type LifecycleCondition struct {
	Age              *int     `json:"age,omitempty"` // days
	IsLive           *bool    `json:"isLive,omitempty"`
	NumNewerVersions int      `json:"numNewerVersions,omitempty"`
	MatchesPrefix    []string `json:"matchesPrefix,omitempty"`
}

// shownSettings is the part of a bucket's resource that BucketSettings decide.
type shownSettings struct {
	StorageClass string           `json:"storageClass"`
	Lifecycle    *shownLifecycle  `json:"lifecycle,omitempty"`
	Retention    *shownRetention  `json:"retentionPolicy,omitempty"`
	Hold         bool             `json:"defaultEventBasedHold,omitempty"`
	SoftDelete   shownSoftDelete  `json:"softDeletePolicy"`
	Versioning   *shownVersioning `json:"versioning,omitempty"`
}

type shownLifecycle struct {
	Rules []LifecycleRule `json:"rule"`
}

type shownRetention struct {
	Period string `json:"retentionPeriod"` // the JSON API writes 64-bit numbers as text
}

type shownSoftDelete struct {
	Duration string `json:"retentionDurationSeconds"`
}

type shownVersioning struct {
	Enabled bool `json:"enabled"`
}

func (b *BucketSettings) shown() shownSettings {
	out := shownSettings{StorageClass: b.StorageClass, Hold: b.EventBasedHold, SoftDelete: shownSoftDelete{wholeSeconds(b.SoftDelete)}}
	if out.StorageClass == "" {
		out.StorageClass = "STANDARD"
	}
	if len(b.Lifecycle) > 0 {
		out.Lifecycle = &shownLifecycle{b.Lifecycle}
	}
	if b.Retention > 0 {
		out.Retention = &shownRetention{wholeSeconds(b.Retention)}
	}
	if b.Versioning {
		out.Versioning = &shownVersioning{true}
	}
	return out
}

func wholeSeconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
