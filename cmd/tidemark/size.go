package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// byteSize is a flag's value: bytes, or KiB, MiB, GiB or TiB (512MiB, 1.5 GiB).
type byteSize int64

var sizeWithUnit = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([KMGTPE]iB|B)?$`)

func (s *byteSize) Set(text string) error {
	m := sizeWithUnit.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("%q is not a size such as 512MiB", text)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return err
	}
	if m[2] != "" && m[2] != "B" {
		n *= math.Pow(1024, float64(strings.Index("KMGTPE", m[2][:1])+1))
	}
	if n > math.MaxInt64/2 {
		return fmt.Errorf("%s is more than can be counted", text)
	}
	*s = byteSize(n)
	return nil
}

// String is empty for zero, so that help shows no default where there is none.
func (s *byteSize) String() string {
	if *s == 0 {
		return ""
	}
	return humanBytes(int64(*s))
}

func (s *byteSize) Type() string { return "size" }
