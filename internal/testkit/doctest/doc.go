// Package doctest runs the examples in the documents. It contains tests only.
package doctest
