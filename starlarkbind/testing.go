package starlarkbind

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/internal/plural"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// This file implements what `bpfrepl test` needs of a session: the tests of a file, and a run of
// one of them.

// ErrNoTest is returned by RunTest if the file did not define the test: its def is inside an if.
var ErrNoTest = errors.New("the file does not define the test here")

// testPrefix begins the names of tests.
const testPrefix = "test_"

// Tests returns the names of the tests in a file, in order: functions that it defines at top level,
// also inside if and for, whose names begin with test_. The error is that of a file that does not
// compile.
func (s *Session) Tests(name string, src []byte) ([]string, error) {
	f, _, err := s.compileFile(name, src)
	if err != nil {
		return nil, err
	}
	var names []string
	seen := map[string]syntax.Position{}
	syntax.Walk(f, func(n syntax.Node) bool {
		id, inside := defined(n)
		if id == nil || !strings.HasPrefix(id.Name, testPrefix) {
			return inside
		}
		if first, twice := seen[id.Name]; twice && err == nil {
			err = s.syntaxError(syntax.Error{Pos: id.NamePos, Msg: fmt.Sprintf("%s is defined twice, first at %s: only one of the two would run", id.Name, first)}, name, src)
		}
		seen[id.Name] = id.NamePos
		names = append(names, id.Name)
		return false
	})
	return names, err
}

// defined returns the name of the function that a statement defines, or nil, and whether functions
// defined inside of the node are at top level.
func defined(n syntax.Node) (id *syntax.Ident, inside bool) {
	switch n := n.(type) {
	case *syntax.DefStmt:
		return n.Name, false
	case *syntax.AssignStmt:
		if _, ok := n.RHS.(*syntax.LambdaExpr); ok {
			id, _ = n.LHS.(*syntax.Ident)
		}
		return id, false
	}
	return nil, true
}

// RunTest runs the file src, and then its function test. It reports whether the function was
// called: an error before that concerns all tests of the file. It returns ErrNoTest if the file did
// not define the test. If ctx ends by its deadline, the error is the cause of ctx, at the place
// that the test had reached. The session must be fresh; Close detaches what the test has attached.
func (s *Session) RunTest(ctx context.Context, name string, src []byte, test string) (called bool, err error) {
	completed := false
	err = s.execFile(ctx, name, src, func(thread *starlark.Thread, globals starlark.StringDict) error {
		fn, ok := globals[test].(*starlark.Function)
		called = true
		if !ok {
			return ErrNoTest
		}
		if n := fn.NumParams(); n > 0 {
			return &starlark.EvalError{Msg: fmt.Sprintf("%s has %s, but a test is called without arguments", test, plural.Of(n, "parameter")), CallStack: starlark.CallStack{{Name: test, Pos: fn.Position()}}}
		}
		_, err := starlark.Call(thread, fn, nil, nil)
		completed = err == nil
		return err
	})
	switch {
	case errors.Is(err, runner.ErrInterrupted) && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return called, &starlark.EvalError{Msg: context.Cause(ctx).Error(), CallStack: s.done.stack}
	case err == nil && !completed:
		if status, exits := s.Exit(); exits {
			return called, fmt.Errorf("exit(%d) ended the test before its end", status)
		}
		return called, errors.New("stop() ended the test before its end; during run() it ends run()")
	}
	return called, err
}
