package format

// StoredTable decodes the table that a segment's delta overrides, for a delta in place of that one: stored is the content of the frame that s.Stored
// locates, and objects are the manifest's.
func StoredTable(s *Segment, objects []*Object, stored []byte) (*Table, error) {
	t, err := parseTable(stored)
	if err != nil {
		return nil, err
	}
	own := make([]*Object, min(len(t.Packs), len(s.Objects)))
	for i := range own {
		own[i] = objects[s.Objects[i]]
	}
	if err := matchPacks(t, own); err != nil {
		return nil, err
	}
	return t, checkBase(t, own)
}
