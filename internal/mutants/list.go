package main

// mutant is a guard of the code that is taken away.
type mutant struct {
	file string // below checkpoint/
	old  string // occurs there exactly once
	new  string
	what string
	// why nothing catches it; empty for one that has to be caught. With rare in front: it may be, by some seeds in thousands.
	why string
}

const (
	rare = "rare: "
	// rareFence: two epochs of one fence come from an acquisition that a layer in between sent twice, and that another owner overtook before its sender looked.
	rareFence = rare + "it takes two epochs of one fence, which hardly ever happens; internal/model catches it"
	rareBase  = rare + "a base is the newest checkpoint when a save begins, which no retention takes, and a newer commit beats the save anyway"
)

var mutants = append(append(append([]mutant{}, headMutants...), saveMutants...), otherMutants...)

// headMutants are about writes of HEAD: rules 1, 5, 7 and 8.
var headMutants = []mutant{
	{"head.go", `return j.store.objects.Swap(ctx, key, body, at)`,
		`_, at, err := j.store.objects.Get(ctx, key, format.MaxHead); if objstore.KindOf(err) == objstore.KindNotFound { at = objstore.Absent }; return j.store.objects.Swap(ctx, key, body, at)`,
		"write HEAD by read, then put, without the version that the change was made from", ""},
	{"head.go", `case !objstore.Unknown(err) && !sent:`, `case objstore.KindOf(err) != objstore.KindPrecondition && !sent:`, "a time-out means failed", ""},
	{"head.go", `case !objstore.Unknown(err) && !sent:`, `case objstore.KindOf(err) == objstore.KindPrecondition || !objstore.Unknown(err) && !sent:`, "412 means failed", ""},
	{"head.go", `case now.head != nil && (bytes.Equal(now.head.Nonce, next.Nonce) || c.applied(now.head)):`,
		`case now.head != nil && objstore.KindOf(err) != objstore.KindPrecondition && (bytes.Equal(now.head.Nonce, next.Nonce) || c.applied(now.head)):`,
		"after 412 do not look for the own change in HEAD", ""},
	{"head.go", `(bytes.Equal(now.head.Nonce, next.Nonce) || c.applied(now.head))`, `bytes.Equal(now.head.Nonce, next.Nonce)`, "do not recognise the own change in a HEAD that others have written since", ""},
	{"head.go", `(bytes.Equal(now.head.Nonce, next.Nonce) || c.applied(now.head))`, `(bytes.Equal(nil, next.Nonce) || c.applied(now.head))`, "do not recognise the own write by its nonce",
		"the change is recognised by what it is; only a retention is made once more, and finds nothing to do"},
	{"head.go", `		at = now
	}
}`, `		at.version = now.version
	}
}`, "after a lost swap make the change on the old HEAD, under the new version", ""},
	{"head.go", `if c.never != nil && !c.never(now.head, end == swapRefused) {`, `if false {`, "a change that may have been made and superseded is made again, or reported as failed", ""},
	{"head.go", "		if sent {\n", "		if false {\n", "giving up means failed", ""},
	{"head.go", "		sent = true\n", "", "forget that a request was sent", ""},
	{"head.go", `next.Nonce, next.WrittenAtNs = newNonce(), time.Now().UnixNano()`,
		`next.WrittenAtNs = time.Now().UnixNano(); if next.Nonce == nil { next.Nonce = newNonce() }`, "HEAD keeps its nonce", ""},
	{"head.go", `p.Kind != format.Pin_LEASE || p.ExpiresAtNs > now.UnixNano()`, `p.Kind != format.Pin_LEASE`, "whoever writes HEAD drops all leases", ""},

	{"owner.go", `if h.Epoch == o.epoch && bytes.Equal(h.Fence, o.fence) {`, `if true {`, "an owner commits without comparing epoch and fence", ""},
	{"owner.go", `if h.Epoch == o.epoch && bytes.Equal(h.Fence, o.fence) {`, `if h.Epoch == o.epoch {`, "fence by the epoch's number alone",
		"compare-and-swap gives each epoch to one taker, so the number says as much as the nonce, as long as HEAD never goes back"},
	{"owner.go", `if h.Epoch == o.epoch && bytes.Equal(h.Fence, o.fence) {`, `if bytes.Equal(h.Fence, o.fence) {`, "fence by the nonce alone", rareFence},
	{"owner.go", "	h.Epoch++\n", "", "an acquisition keeps the epoch", ""},
	{"owner.go", `h.Fence, h.Key, h.Owner, h.Removed = fence, wrappedKey(key), owner, false`, `h.Key, h.Owner, h.Removed = wrappedKey(key), owner, false; if h.Fence == nil { h.Fence = fence }`,
		"an acquisition keeps the fence", ""},
	{"owner.go", `applied: func(h *format.Head) bool { return bytes.Equal(h.Fence, owner.fence) },`, `applied: func(h *format.Head) bool { return h.Epoch == epochOf(at)+1 },`,
		"recognise an acquisition by its epoch", ""},
	{"owner.go", `never: func(h *format.Head, refused bool) bool { return refused || h.Epoch <= epochOf(at)+1 },`, `never: nil,`,
		"an acquisition of unknown fate that another owner has followed is made again", ""},
	{"owner.go", `o.begun = max(o.begun, h.Last.Checkpoint) + 1`, `o.begun = h.Last.Checkpoint + 1`, "two saves of one owner get the same number", ""},
	{"owner.go", `			if err := w.admissible(h); err != nil {
				return err
			}
`, "", "an owner commits whatever was committed or retired meanwhile", ""},
	{"owner.go", `o.retention.trim(h, now(), keep)`, `_ = keep; o.retention.trim(h, now(), nil)`, "retention takes the bases of the owner's other saves", ""},
	{"owner.go", `never:   func(h *format.Head, _ bool) bool { return o.stillOwns(h) == nil || neverCommitted(h, r) },`, `never: nil,`, "being fenced means failed, whatever was sent before", ""},
	{"owner.go", `if bytes.Equal(h.LastManifest, r.ManifestNonce) {
		return true
	}`, `if h.GetLast().GetCheckpoint() == r.Id.Checkpoint {
		return true
	}`, "recognise a commit by its number", ""},
	{"owner.go", `		return bytes.Equal(h.Retained[i].ManifestNonce, r.ManifestNonce)`, `		return false`, "recognise a commit only as long as it is the last", ""},
	{"owner.go", `if err := o.stillOwns(at.head); err != nil {
		o.stopped = err
	}`, ``, "an owner whose commit was found under a new owner goes on", ""},
	{"owner.go", `	case o.commit <- struct{}{}:
		defer func() { <-o.commit }()`, `	default:`, "commits of one owner do not wait for each other",
		"each is a compare-and-swap with all checks of its own; the turn only spares lost races"},

	{"oneshot.go", `if h.Epoch != read.Epoch || !bytes.Equal(h.Fence, read.Fence) {`, `if false && !bytes.Equal(h.Fence, read.Fence) {`, "a one-shot save rebases over whoever took the job", ""},
	{"oneshot.go", `if h.Epoch != read.Epoch || !bytes.Equal(h.Fence, read.Fence) {`, `if h.Epoch != read.Epoch || false && !bytes.Equal(h.Fence, read.Fence) {`, "a one-shot save compares the epoch alone",
		"as for the owner: the number says as much as the nonce"},
	{"oneshot.go", `if h.Epoch != read.Epoch || !bytes.Equal(h.Fence, read.Fence) {`, `if !bytes.Equal(h.Fence, read.Fence) {`, "a one-shot save compares the fence alone", rareFence},
	{"oneshot.go", `				if err := w.admissible(h); err != nil {
					return err
				}
`, "", "a one-shot save commits though its base was retired", ""},
	{"oneshot.go", `never:   func(h *format.Head, _ bool) bool { return h.Epoch <= id.Epoch || neverCommitted(h, r) },`, `never: nil,`,
		"a one-shot save that may have been made and superseded has failed", ""},
	{"oneshot.go", `Epoch: read.Epoch + 1, Checkpoint`, `Epoch: read.Epoch, Checkpoint`, "a one-shot save names its objects by the epoch that was read", ""},

	{"job.go", `if h.Epoch != read.Epoch || !bytes.Equal(h.Fence, read.Fence) {`, `if false && !bytes.Equal(h.Fence, read.Fence) {`, "a removal rebases over a new owner", ""},
	{"job.go", `if h.Epoch != read.Epoch || !bytes.Equal(h.Fence, read.Fence) {`, `if h.Epoch != read.Epoch || false && !bytes.Equal(h.Fence, read.Fence) {`, "a removal compares the epoch alone", "as for the owner"},
	{"job.go", `if h.Epoch != read.Epoch || !bytes.Equal(h.Fence, read.Fence) {`, `if !bytes.Equal(h.Fence, read.Fence) {`, "a removal compares the fence alone", rareFence},
	{"job.go", `			h.Epoch++
			h.Fence, h.Owner = newNonce(), "removed"`, `			h.Owner = "removed"`, "a tombstone keeps the epoch and the fence", ""},
	{"job.go", `h.Retained, h.Pins, h.LastBody, h.Key, h.Removed = nil, nil, nil, nil, true`, `h.Retained, h.Pins, h.LastBody, h.Key = nil, nil, nil, nil`, "a removal leaves no tombstone's mark", ""},
	{"job.go", `never:   func(h *format.Head, _ bool) bool { return h.Epoch <= read.Epoch },`, `never: nil,`, "a removal that may have been made and undone has failed", ""},
}
