package main

// saveMutants are about what a save may refer to, and who takes part in it: rules 2, 3, 5 and 9.
var saveMutants = []mutant{
	{"writer.go", `if last := h.GetLast().GetCheckpoint(); last >= w.id.Checkpoint {`, `if last := h.GetLast().GetCheckpoint(); false {`, "commit a checkpoint older than the last", ""},
	{"writer.go", `last >= w.id.Checkpoint`, `last > w.id.Checkpoint`, "commit a checkpoint of the number of the last", ""},
	{"writer.go", `i < 0 || !slices.Equal(h.Retained[i].ManifestHash, r.ManifestHash)`, `false && i < 0`, "do not check again that the base is retained", rareBase},
	{"writer.go", `i < 0 || !slices.Equal(h.Retained[i].ManifestHash, r.ManifestHash)`, `i < 0`, "check that the base's number is retained, not its hash",
		"a number belongs to one manifest for ever"},
	{"writer.go", `	if err := w.packs.wait(w.ctx); err != nil {
		return Info{}, err
	}
`, "", "commit before the packs are stored", ""},
	{"base.go", "	w.base.used.Store(true)\n", "", "forget that the base is referred to", rareBase},

	{"worker.go", `	if err := writer.packs.wait(writer.ctx); err != nil {
		return nil, err
	}
`, "", "a worker hands over before its packs are stored", ""},
	{"worker.go", `case h.Epoch > w.id.Epoch:`, `case false:`, "a worker that was given numbers does not look whether its epoch is over",
		"the coordinator looks: at the handle's fence and number, and in its commit at the base"},
	{"worker.go", `case last >= w.id.Checkpoint:`, `case false:`, "a worker that was given numbers does not look whether its checkpoint is too late", ""},
	{"worker.go", `incarnation: newNonce()`, `incarnation: make([]byte, format.NonceSize)`, "two lives of a worker have one incarnation", ""},
	{"handle.go", `case h.Id.Epoch < w.id.Epoch, !bytes.Equal(h.Fence, w.fence):`, `case h.Id.Epoch < w.id.Epoch:`, "take a handle by epoch and number, without the fence", ""},
	{"handle.go", `case h.Id.Epoch < w.id.Epoch, !bytes.Equal(h.Fence, w.fence):`, `case !bytes.Equal(h.Fence, w.fence):`, "take a handle by fence and number, without the epoch",
		"each save's fence is of one epoch, but for an acquisition that was applied twice, whose first epoch nobody was told"},
	{"handle.go", `case h.Id.Epoch < w.id.Epoch, !bytes.Equal(h.Fence, w.fence):`, `case false:`, "take a handle of an epoch that is over", ""},
	{"handle.go", `case h.Id.Checkpoint != w.id.Checkpoint:`, `case false:`, "take a handle of another checkpoint of the epoch", ""},
	{"handle.go", `if t, ok := w.handles[h.Writer]; ok {`, `if t, ok := w.handles[h.Writer]; ok && t.info.Incarnation == fmt.Sprintf("%x", h.Incarnation) {`, "take the handles of both lives of a worker", ""},
	{"handle.go", "		b.used.Store(true)\n", "", "forget that a worker's base is referred to", rareBase},
	{"handle.go", `for _, t := range w.handles {
		if t.base != nil && !slices.Contains(all, t.base) {`, `for _, t := range w.handles {
		if false && t.base != nil {`, "bases of workers are not checked in the commit, nor kept by retention", rareBase},
	{"handle.go", `	if w.done {
		return info, true,`, `	if false {
		return info, true,`, "take a handle after the save has ended", ""},
	{"handle.go", `i >= 0 && is(at.head.Retained[i])`, `i >= 0`, "take any checkpoint of the base's number for a worker's base", "a number belongs to one manifest for ever"},
	{"handle.go", `if w.parts.has(string(p.Name)) {`, `if false {`, "take a worker's part though there is one of its name",
		"the parts of simulated workers have names of their own; worker_test.go has others"},
	{"handle.go", `if !proto.Equal(o, known[format.Nonce(o.Nonce)]) {`, `if false {`, "a handle may refer to packs that its base does not have",
		"a worker of this package makes no such handle; worker_test.go forges some"},

	{"../internal/format/keys.go", `return fmt.Sprintf("%s%0*d-%0*d-%x", ManifestPrefix(job), numberWidth, id.GetEpoch(), numberWidth, id.GetCheckpoint(), nonce)`,
		`return fmt.Sprintf("%s%0*d-%0*d-%x", ManifestPrefix(job), numberWidth, id.GetEpoch(), numberWidth, id.GetCheckpoint(), make([]byte, NonceSize))`, "name manifests without nonce", ""},
	{"../internal/format/keys.go", `escapeWriter(o.GetWriter()), packWidth, o.GetNumber(), o.GetNonce())`, `escapeWriter(o.GetWriter()), packWidth, o.GetNumber(), make([]byte, NonceSize))`, "name packs without nonce", ""},
	{"../internal/objstore/create.go", `if err == nil || !Unknown(err) || Retryable(err) || ctx.Err() != nil {`, `if true {`, "an immutable object that exists already, because a reply was lost, is an error",
		"the save fails for certain, which is no lie, only a loss of work; retrying_test.go holds it"},
}
