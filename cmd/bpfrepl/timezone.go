package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"
)

// setTimeZone sets time.Local if TZ is a POSIX rule such as CET-1CEST,M3.5.0,M10.5.0/3, for which
// Go uses UTC. It returns a warning if TZ is neither a rule nor a known time zone.
func setTimeZone() (warning string) {
	tz, set := os.LookupEnv("TZ")
	if !set || tz == "" || tz == "UTC" {
		return ""
	}
	name := tz
	if name[0] == ':' {
		name = name[1:]
	}
	if len(name) > 0 && name[0] == '/' {
		if _, err := os.Stat(name); err == nil {
			return ""
		}
	} else if _, err := time.LoadLocation(name); err == nil {
		return ""
	}
	if loc, ok := posixZone(tz); ok {
		time.Local = loc
		return ""
	}
	return fmt.Sprintf("TZ=%q is not a time zone: times are shown in UTC", tz)
}

// unknownZone is the zone name that results from a rule that Go cannot parse.
const unknownZone = "?"

// posixZone parses a rule by loading it as a time zone file with no other content: per RFC 8536, a
// footer after empty data.
func posixZone(rule string) (*time.Location, bool) {
	header := func(version byte) []byte {
		b := append([]byte("TZif"), version)
		b = append(b, make([]byte, 15)...)
		for _, n := range []uint32{0, 0, 0, 0, 1, uint32(len(unknownZone) + 1)} { // one zone, its name
			b = binary.BigEndian.AppendUint32(b, n)
		}
		b = append(b, 0, 0, 0, 0, 0, 0) // offset 0, no daylight saving time, name at index 0
		return append(append(b, unknownZone...), 0)
	}
	data := append(header('2'), header('2')...)
	data = append(append(append(data, '\n'), rule...), '\n')
	loc, err := time.LoadLocationFromTZData(rule, data)
	if err != nil {
		return nil, false
	}
	name, _ := time.Unix(0, 0).In(loc).Zone()
	return loc, name != unknownZone
}
