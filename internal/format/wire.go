package format

import (
	"fmt"
	"math"
	"reflect"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// An encoded message is walked before it is decoded, because decoding believes what it reads: two bytes are an empty message on the
// wire and up to 300 in memory, a repeated field may come in a million pieces, a field may come twice. The walk allocates nothing.
const (
	// maxGrowth bounds what decoding allocates, in bytes for each encoded one. By this count the sparsest of what tidemark writes needs 10.
	maxGrowth = 16
	// growthSlack is allowed beyond that, so that the rule never matters for a small message.
	growthSlack = 64 << 10
)

// What decoding and checking allocate beside the structs and the bytes themselves.
const (
	allocOverhead = 16  // an allocation's rounding; a oneof's wrapper
	growOverhead  = 48  // a pointer or number in a slice that grows by a quarter: five times its size, over time
	bytesOverhead = 128 // the same for a slice header, and an entry in a set of names
)

// shape is what the walk knows of a message type.
type shape struct {
	name   string
	size   int     // of the struct in memory
	fields []field // by number; one without a kind does not exist
}

type field struct {
	name  string
	kind  protoreflect.Kind
	list  bool
	once  uint64 // the bit that fields share of which a message may have one
	enum  protoreflect.EnumValueDescriptors
	child *shape
}

// Made on first use: the generated code's descriptors exist only after this package's variables do.
var (
	headShape       = sync.OnceValue(func() *shape { return shapeOf(new(Head).ProtoReflect()) })
	manifestShape   = sync.OnceValue(func() *shape { return shapeOf(new(Manifest).ProtoReflect()) })
	tableShape      = sync.OnceValue(func() *shape { return shapeOf(new(Table).ProtoReflect()) })
	indexShape      = sync.OnceValue(func() *shape { return shapeOf(new(PackIndex).ProtoReflect()) })
	handleShape     = sync.OnceValue(func() *shape { return shapeOf(new(Handle).ProtoReflect()) })
	assignmentShape = sync.OnceValue(func() *shape { return shapeOf(new(Assignment).ProtoReflect()) })
	sealedShape     = sync.OnceValue(func() *shape { return shapeOf(new(Sealed).ProtoReflect()) })
)

// shapeOf reads a message's descriptor. It ends because no message contains its own type, and none has more than 63 fields.
func shapeOf(m protoreflect.Message) *shape {
	s := &shape{name: string(m.Descriptor().Name()), size: int(reflect.TypeOf(m.Interface()).Elem().Size()) + allocOverhead}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		d := fields.Get(i)
		f := field{name: string(d.Name()), kind: d.Kind(), list: d.IsList()}
		if !f.list {
			f.once = 1 << d.Number()
		}
		if o := d.ContainingOneof(); o != nil {
			f.once = 1 << o.Fields().Get(0).Number()
		}
		switch {
		case d.Kind() == protoreflect.EnumKind:
			f.enum = d.Enum().Values()
		case d.Kind() == protoreflect.MessageKind && f.list:
			f.child = shapeOf(m.NewField(d).List().NewElement().Message())
		case d.Kind() == protoreflect.MessageKind:
			f.child = shapeOf(m.NewField(d).Message())
		}
		for len(s.fields) <= int(d.Number()) {
			s.fields = append(s.fields, field{})
		}
		s.fields[d.Number()] = f
	}
	return s
}

// unmarshal decodes b into m, whose shape s is, at a cost that b's length bounds.
func unmarshal(b []byte, m proto.Message, s *shape) error {
	if err := s.check(b); err != nil {
		return err
	}
	return proto.Unmarshal(b, m)
}

// marshal encodes m so that every reader of this version takes it. The result is appended to b.
func marshal(b []byte, m proto.Message, s *shape) ([]byte, error) {
	start := len(b)
	b, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(b, m)
	if err != nil {
		return nil, err
	}
	return b, s.check(b[start:])
}

func (s *shape) check(b []byte) error {
	budget := maxGrowth*int64(len(b)) + growthSlack
	if err := s.walk(b, &budget); err != nil {
		return err
	}
	if budget < 0 {
		return fmt.Errorf("%d bytes of %s would need more than %d times their size in memory", len(b), s.name, maxGrowth)
	}
	return nil
}

func (s *shape) walk(b []byte, budget *int64) error {
	*budget -= int64(s.size)
	var seen uint64
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%s: %w", s.name, protowire.ParseError(n))
		}
		b = b[n:]
		if int(num) >= len(s.fields) || s.fields[num].kind == 0 {
			if n := protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return fmt.Errorf("%s: field %d: %w", s.name, num, protowire.ParseError(n))
			}
			return fmt.Errorf("%w: %s has a field %d, which this build does not know", ErrNewer, s.name, num)
		}
		f := &s.fields[num]
		once := f.once
		if f.list && typ == protowire.BytesType && f.isVarint() {
			// Packed numbers come in one piece: the decoder makes room for each piece by itself, and copies all that came before.
			// A table of 1 MiB in pieces of one number took it two minutes.
			once = 1 << num
		}
		if seen&once != 0 {
			return fmt.Errorf("%s has %s twice", s.name, f.name)
		}
		seen |= once
		n, err := f.value(typ, b, budget)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", s.name, f.name, err)
		}
		b = b[n:]
	}
	return nil
}

// value walks one value of the field and returns its length.
func (f *field) value(typ protowire.Type, b []byte, budget *int64) (int, error) {
	switch typ {
	case protowire.BytesType:
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		return n, f.bytes(v, budget)
	case protowire.VarintType:
		if !f.isVarint() {
			break
		}
		if f.list {
			*budget -= growOverhead
		}
		return f.varint(b)
	case protowire.Fixed32Type:
		if f.kind != protoreflect.Fixed32Kind {
			break
		}
		if _, n := protowire.ConsumeFixed32(b); n < 0 {
			return 0, protowire.ParseError(n)
		}
		return 4, nil
	}
	return 0, fmt.Errorf("a %s in wire type %d", f.kind, typ)
}

func (f *field) bytes(v []byte, budget *int64) error {
	switch {
	case f.child != nil:
		if f.list {
			*budget -= growOverhead
		}
		return f.child.walk(v, budget)
	case f.kind == protoreflect.BytesKind, f.kind == protoreflect.StringKind:
		*budget -= 2*int64(len(v)) + allocOverhead // once more as a string that is checked
		if f.list {
			*budget -= bytesOverhead
		}
		return nil
	case !f.list || !f.isVarint():
		return fmt.Errorf("a %s in wire type %d", f.kind, protowire.BytesType)
	}
	for len(v) > 0 {
		n, err := f.varint(v)
		if err != nil {
			return err
		}
		*budget -= 8 // the decoder counts the numbers first and makes room for just them
		v = v[n:]
	}
	return nil
}

func (f *field) isVarint() bool {
	switch f.kind {
	case protoreflect.BoolKind, protoreflect.EnumKind, protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Int64Kind:
		return true
	}
	return false
}

// varint walks one number, which has to fit its field: decoders cut off what does not.
func (f *field) varint(b []byte) (int, error) {
	v, n := protowire.ConsumeVarint(b)
	switch {
	case n < 0:
		return 0, protowire.ParseError(n)
	case f.kind == protoreflect.Uint32Kind && v > math.MaxUint32, f.kind == protoreflect.BoolKind && v > 1:
		return 0, fmt.Errorf("%d is no %s", v, f.kind)
	case f.kind == protoreflect.EnumKind && (v > math.MaxInt32 || f.enum.ByNumber(protoreflect.EnumNumber(v)) == nil):
		return 0, fmt.Errorf("%w: %d is a value that this build does not know", ErrNewer, v)
	}
	return n, nil
}
