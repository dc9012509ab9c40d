package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"
)

// setTimeZone makes local time what TZ says also where that is a rule of POSIX, such as CET-1CEST,M3.5.0,M10.5.0/3, for which
// Go takes UTC. It returns a warning for what nobody knows.
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
	return fmt.Sprintf("TZ=%q is no time zone: times are shown in UTC", tz)
}

// unknownZone is the zone of a rule that Go cannot read.
const unknownZone = "?"

// posixZone reads a rule by way of a file of time zones that has nothing else (RFC 8536: a footer behind empty data).
func posixZone(rule string) (*time.Location, bool) {
	header := func(version byte) []byte {
		b := append([]byte("TZif"), version)
		b = append(b, make([]byte, 15)...)
		for _, n := range []uint32{0, 0, 0, 0, 1, uint32(len(unknownZone) + 1)} { // one zone, its name
			b = binary.BigEndian.AppendUint32(b, n)
		}
		b = append(b, 0, 0, 0, 0, 0, 0) // offset 0, no summer time, the name at 0
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
