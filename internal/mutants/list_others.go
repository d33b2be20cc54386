package main

// otherMutants are about collection, retention, tags, leases and readers: rules 4 and 6.
var otherMutants = []mutant{
	{"collect.go", `return n.Epoch < h.Epoch || (n.Epoch == h.Epoch && n.Checkpoint <= h.GetLast().GetCheckpoint())`, `return true`, "collect whatever HEAD does not refer to", ""},
	{"collect.go", `return n.Epoch < h.Epoch || (n.Epoch == h.Epoch && n.Checkpoint <= h.GetLast().GetCheckpoint())`, `return n.Epoch <= h.Epoch`, "collect by epoch alone, without HEAD.last", ""},
	{"collect.go", `return n.Epoch < h.Epoch || (n.Epoch == h.Epoch && n.Checkpoint <= h.GetLast().GetCheckpoint())`, `return n.Epoch < h.Epoch || (n.Epoch <= h.Epoch+1 && n.Checkpoint <= h.GetLast().GetCheckpoint()+1)`,
		"collect what is just being saved", ""},
	{"collect.go", `return n.Epoch < h.Epoch || (n.Epoch == h.Epoch && n.Checkpoint <= h.GetLast().GetCheckpoint())`, `return n.Epoch == h.Epoch && n.Checkpoint <= h.GetLast().GetCheckpoint()`, "leave what older epochs left", ""},
	{"collect.go", `n.Epoch < h.Epoch || (n.Epoch == h.Epoch && n.Checkpoint <= h.GetLast().GetCheckpoint())`, `n.Checkpoint <= h.GetLast().GetCheckpoint()`, "collect by the checkpoint's number, without the epoch",
		"checkpoint numbers grow across epochs; what is lost is only that a dead owner's leftovers can be collected before the next commits"},
	{"collect.go", "		live[format.Nonce(r.ManifestNonce)] = true\n", "", "collect manifests that HEAD refers to", ""},
	{"collect.go", "			live[n] = true\n", "			_ = n\n", "collect packs that HEAD refers to", ""},
	{"collect.go", `return nil, fmt.Errorf("nothing was deleted, because what checkpoint %d refers to cannot be told: %w", r.Id.Checkpoint, err)`, `_ = fmt.Errorf; continue`,
		"collect though a manifest cannot be read", ""},
	{"keys.go", `case len(o.ManifestNonce) > 0:
			nonces = append(nonces, format.Nonce(o.ManifestNonce))`, `case len(o.ManifestNonce) > 0:`, "collect manifests whose embedded pack is referred to", ""},

	{"retention.go", `age == 0 || age < r.KeepLast`, `age < r.KeepLast`, "retention may retire the newest", ""},
	{"retention.go", `age < r.KeepLast ||`, `age+1 < r.KeepLast ||`, "keep one fewer than was asked for", ""},
	{"retention.go", `pinned[id] || keep[id] ||`, `keep[id] ||`, "retention ignores tags and leases", ""},
	{"retention.go", `pinned[id] || keep[id] ||`, `pinned[id] ||`, "retention ignores bases in use", ""},
	{"retention.go", `now.Sub(at) < r.KeepWithin`, `now.Sub(at) > r.KeepWithin`, "keep what is old", ""},

	{"tags.go", `if findRetained(h, c) < 0 {
				return &Error{Kind: ErrRetired, Op: "tag", Job: j.name, Checkpoint: c}
			}`, ``, "tag what was retired meanwhile", ""},
	{"tags.go", `		if p.Checkpoint == checkpoint {
			return nil
		}`, `		if p.Checkpoint = checkpoint; true {
			return nil
		}`, "a tag is moved without a word", ""},
	{"tags.go", `p.Kind == format.Pin_TAG && p.Name == tag && p.Checkpoint == c })`, `p.Kind == format.Pin_TAG && p.Name == tag })`, "an untag takes the tag from a checkpoint that it was moved to meanwhile", ""},
	{"tags.go", `if findRetained(h, l.checkpoint) < 0 {`, `if false {`, "pin what was retired meanwhile", ""},
	{"tags.go", `removePin(h, func(p *format.Pin) bool { return p.Kind == format.Pin_LEASE && bytes.Equal(p.Nonce, l.nonce) })`, `removePin(h, func(p *format.Pin) bool { return p.Kind == format.Pin_LEASE })`,
		"a release ends all leases", ""},

	{"lastbody.go", `if bytes.Equal(r.ManifestNonce, h.LastManifest) {`, `if true {`, "take the newest manifest, which HEAD carries, for that of any checkpoint", ""},
	{"lastbody.go", `h.Last, h.LastManifest, h.LastBody = r.Id, r.ManifestNonce, nil`, `h.Last, h.LastManifest = r.Id, r.ManifestNonce`, "HEAD keeps the manifest of an older checkpoint", ""},
	{"lastbody.go", `(len(o.ManifestNonce) > 0 && !bytes.Equal(o.ManifestNonce, c.retained.ManifestNonce))`, `false`, "take the pack in HEAD for one of an older manifest", ""},
	{"job.go", `h.Retained, h.Pins, h.LastBody, h.Key, h.Removed = nil, nil, nil, nil, true`, `h.Retained, h.Pins, h.Key, h.Removed = nil, nil, nil, true`, "a tombstone keeps the newest manifest", ""},
	{"reader.go", `at.head == nil || findRetained(at.head, c.retained.Id.Checkpoint) < 0`, `at.head == nil`, "a reader takes what was retired under it for damage", ""},
	{"reader.go", `if at.head == nil || findRetained(at.head, c.retained.Id.Checkpoint) < 0 {`, `if true {`, "a reader takes damage for retirement",
		"nothing is damaged here; check_test.go and restore_fault_test.go damage"},
}
