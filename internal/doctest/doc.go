// Package doctest runs what the documents show: see its test.
package doctest
