package flags

import (
	"errors"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

func TestDefine(t *testing.T) {
	s := New([]string{"--n", "5", "file", "--name=x", "--quiet", "--no-color", "--tag", "a", "--tag=b", "--rate", "1.5", "--", "--raw"})
	for _, c := range []struct {
		name string
		def  starlark.Value
		want string
	}{
		{"n", starlark.MakeInt(1), "5"}, {"name", starlark.String("y"), `"x"`}, {"quiet", starlark.False, "True"}, {"color", starlark.True, "False"},
		{"tag", starlark.NewList(nil), `["a", "b"]`}, {"rate", starlark.Float(0), "1.5"}, {"other", starlark.MakeInt(7), "7"},
	} {
		v, err := s.Define(c.name, c.def, "help")
		if err != nil || v.String() != c.want {
			t.Errorf("--%s: got %v, %v; want %s", c.name, v, err, c.want)
		}
	}
	if got := strings.Join(s.Rest(), " "); got != "file --raw" {
		t.Errorf("rest: %q", got)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	define := func(args ...string) error {
		s := New(args)
		if _, err := s.Define("limit", starlark.MakeInt(1), ""); err != nil {
			return err
		}
		return s.Check()
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--limt", "5"}, "unknown flag --limt (did you mean --limit?)"},
		{[]string{"--limit", "x"}, `flag --limit must be an int, got "x"`},
		{[]string{"--limit"}, "flag --limit needs a value"},
	} {
		err := define(c.args...)
		var usage *UsageError
		if !errors.As(err, &usage) || err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.args, err, c.want)
		}
	}
}

// What is known of the flags before the script runs finds no fault where Check would find none.
func TestCheckBefore(t *testing.T) {
	names := []string{"limit", "all"}
	for _, c := range []struct{ args, want string }{
		{"--limt 5", "unknown flag --limt (did you mean --limit?)"},
		{"x --limit --odd --all", ""},
		{"--limit=3 --no-all file", ""},
		{"--limit 3 --nope=x", "unknown flag --nope"},
		{"-- --nope", ""},
	} {
		s := New(strings.Fields(c.args))
		got := ""
		if err := s.CheckBefore(names); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.args, got, c.want)
		}
		if c.want == "" {
			if _, err := s.Define("limit", starlark.String(""), ""); err != nil {
				t.Errorf("%s: %v", c.args, err)
			}
			if _, err := s.Define("all", starlark.False, ""); err != nil {
				t.Errorf("%s: %v", c.args, err)
			}
			if err := s.Check(); err != nil {
				t.Errorf("%s: %v", c.args, err)
			}
		}
	}
}
