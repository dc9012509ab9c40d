// Package pprof writes profiles in the format of pprof: gzipped protocol buffers as described by
// github.com/google/pprof/proto/profile.proto. It handles only names and numbers. The package that
// belongs to pprof also reads, merges and prunes profiles, and compiles the patterns of older
// formats whenever a program starts. That would take a tenth of the time in which bpfrepl starts.
package pprof

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"time"
)

// A Profile is a set of counted stacks.
type Profile struct {
	Types    []Type // of a sample's values
	Samples  []Sample
	Time     time.Time
	Duration time.Duration // 0 if unknown
}

// A Type describes one of a sample's values.
type Type struct{ Name, Unit string }

// A Sample is a stack with a value for each type.
type Sample struct {
	Frames []Frame // innermost first
	Values []int64
	Labels []Label
}

// A Label is additional information about a sample.
type Label struct{ Key, Text string }

// A Frame is an address and what is known about it. Equal frames are written once.
type Frame struct {
	Addr     uint64
	Mapping  Mapping // the zero value if unknown
	Function string  // "" if unknown
	File     string  // source file, or ""
	Line     int
}

// A Mapping is a file mapped into memory.
type Mapping struct {
	Start, End, Offset uint64
	File               string
	BuildID            string // hexadecimal, or ""
}

// Field numbers in profile.proto.
const (
	profileSampleType, profileSample, profileMapping, profileLocation, profileFunction, profileString, profileTime, profileDuration = 1, 2, 3, 4, 5, 6, 9, 10

	typeName, typeUnit = 1, 2

	sampleLocation, sampleValue, sampleLabel = 1, 2, 3

	labelKey, labelText = 1, 2

	mappingID, mappingStart, mappingEnd, mappingOffset, mappingFile, mappingBuildID, mappingHasFunctions, mappingHasFiles, mappingHasLines = 1, 2, 3, 4, 5, 6, 7, 8, 9

	locationID, locationMapping, locationAddress, locationLine = 1, 2, 3, 4

	lineFunction, lineNumber = 1, 2

	functionID, functionName, functionSystemName, functionFile = 1, 2, 3, 4
)

// Encode returns the contents of the profile file.
func (p *Profile) Encode() ([]byte, error) {
	e := &encoder{strings: map[string]uint64{}, mappings: map[Mapping]uint64{}, functions: map[function]uint64{}, locations: map[Frame]uint64{}, known: p.known()}
	e.string("") // the first string must be empty
	for _, t := range p.Types {
		var m message
		m.number(typeName, e.string(t.Name))
		m.number(typeUnit, e.string(t.Unit))
		e.out.message(profileSampleType, m)
	}
	for _, s := range p.Samples {
		e.sample(s)
	}
	e.out.number(profileTime, uint64(p.Time.UnixNano()))
	e.out.number(profileDuration, uint64(p.Duration))
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(e.out.b); err != nil {
		return nil, err
	}
	err := z.Close()
	return b.Bytes(), err
}

// known reports for each mapping whether all its frames have functions and whether all have line
// numbers. pprof looks up what is missing.
func (p *Profile) known() map[Mapping][2]bool {
	out := map[Mapping][2]bool{}
	for _, s := range p.Samples {
		for _, f := range s.Frames {
			k, ok := out[f.Mapping]
			out[f.Mapping] = [2]bool{f.Function != "" && (k[0] || !ok), f.Line != 0 && (k[1] || !ok)}
		}
	}
	return out
}

// An encoder writes each string, mapping, function and location once, at its first use.
type encoder struct {
	out       message
	strings   map[string]uint64
	mappings  map[Mapping]uint64
	functions map[function]uint64
	locations map[Frame]uint64
	known     map[Mapping][2]bool
}

type function struct{ name, file string }

func (e *encoder) sample(s Sample) {
	var m, locations, values message
	for _, f := range s.Frames {
		locations.varint(e.location(f))
	}
	for _, v := range s.Values {
		values.varint(uint64(v))
	}
	m.message(sampleLocation, locations)
	m.message(sampleValue, values)
	for _, l := range s.Labels {
		var lm message
		lm.number(labelKey, e.string(l.Key))
		lm.number(labelText, e.string(l.Text))
		m.message(sampleLabel, lm)
	}
	e.out.message(profileSample, m)
}

func (e *encoder) location(f Frame) uint64 {
	id, old := number(e.locations, f)
	if old {
		return id
	}
	var m message
	m.number(locationID, id)
	m.number(locationMapping, e.mapping(f.Mapping))
	m.number(locationAddress, f.Addr)
	if f.Function != "" {
		var line message
		line.number(lineFunction, e.function(function{f.Function, f.File}))
		line.number(lineNumber, uint64(f.Line))
		m.message(locationLine, line)
	}
	e.out.message(profileLocation, m)
	return id
}

// mapping returns the ID of a mapping. It returns 0, which means none, for the zero value.
func (e *encoder) mapping(p Mapping) uint64 {
	if p == (Mapping{}) {
		return 0
	}
	id, old := number(e.mappings, p)
	if old {
		return id
	}
	var m message
	m.number(mappingID, id)
	m.number(mappingStart, p.Start)
	m.number(mappingEnd, p.End)
	m.number(mappingOffset, p.Offset)
	m.number(mappingFile, e.string(p.File))
	m.number(mappingBuildID, e.string(p.BuildID))
	known := e.known[p]
	m.flag(mappingHasFunctions, known[0])
	m.flag(mappingHasFiles, known[1])
	m.flag(mappingHasLines, known[1])
	e.out.message(profileMapping, m)
	return id
}

func (e *encoder) function(f function) uint64 {
	id, old := number(e.functions, f)
	if old {
		return id
	}
	var m message
	m.number(functionID, id)
	m.number(functionName, e.string(f.name))
	m.number(functionSystemName, e.string(f.name))
	m.number(functionFile, e.string(f.file))
	e.out.message(profileFunction, m)
	return id
}

// string returns the index of s in the string table.
func (e *encoder) string(s string) uint64 {
	id, old := number(e.strings, s)
	if !old {
		e.out.bytes(profileString, []byte(s))
	}
	return id - 1
}

// number returns the ID of k. A new k gets the next ID, starting at 1.
func number[K comparable](ids map[K]uint64, k K) (id uint64, old bool) {
	if id, old = ids[k]; !old {
		id = uint64(len(ids) + 1)
		ids[k] = id
	}
	return id, old
}

// A message is an encoded protocol buffer message.
type message struct{ b []byte }

func (m *message) varint(n uint64) { m.b = binary.AppendUvarint(m.b, n) }

// number writes a numeric field. A 0 is not written, because a missing field means 0.
func (m *message) number(field int, n uint64) {
	if n != 0 {
		m.varint(uint64(field) << 3)
		m.varint(n)
	}
}

func (m *message) flag(field int, b bool) {
	if b {
		m.number(field, 1)
	}
}

func (m *message) bytes(field int, b []byte) {
	m.varint(uint64(field)<<3 | 2)
	m.varint(uint64(len(b)))
	m.b = append(m.b, b...)
}

// message writes a field that is a message or a list of numbers.
func (m *message) message(field int, sub message) { m.bytes(field, sub.b) }
