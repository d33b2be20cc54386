package format

// encodeWhole is EncodeManifest for a message that has its parts decoded, in the order in which they are there.
func encodeWhole(m *Manifest, pack []byte, s *Sealing) ([]byte, error) {
	l := NewPartList(nil)
	for _, p := range m.Parts {
		if err := l.Append(p); err != nil {
			return nil, err
		}
	}
	return EncodeManifest(Contents{m, l}, pack, s, nil)
}

// decodeWhole is DecodeManifest with the parts decoded.
func decodeWhole(b []byte, keys Keyring) (*Manifest, error) {
	c, err := DecodeManifest(b, keys, NewPartList(nil))
	if err != nil {
		return nil, err
	}
	for i := range c.Parts.Len() {
		c.Manifest.Parts = append(c.Manifest.Parts, c.Parts.At(i))
	}
	return c.Manifest, nil
}
