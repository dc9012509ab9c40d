package starlarkbind

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	err = eachDefinition(f.Stmts, func(id *syntax.Ident, earlier syntax.Position) error {
		switch {
		case !strings.HasPrefix(id.Name, testPrefix):
		case earlier.IsValid():
			msg := fmt.Sprintf("%s is defined twice, first at %s: only one of the two would run", id.Name, earlier)
			return s.syntaxError(syntax.Error{Pos: id.NamePos, Msg: msg}, name, src)
		case !slices.Contains(names, id.Name): // an if may define it in both branches
			names = append(names, id.Name)
		}
		return nil
	})
	return names, err
}

// eachDefinition calls fn with the name of each function that the statements define, also inside if
// and for, and with the position of an earlier definition in the same block, if there is one.
func eachDefinition(block []syntax.Stmt, fn func(id *syntax.Ident, earlier syntax.Position) error) error {
	seen := map[string]syntax.Position{}
	for _, st := range block {
		var id *syntax.Ident
		var inner [][]syntax.Stmt
		switch st := st.(type) {
		case *syntax.DefStmt:
			id = st.Name
		case *syntax.AssignStmt:
			if _, ok := st.RHS.(*syntax.LambdaExpr); ok {
				id, _ = st.LHS.(*syntax.Ident)
			}
		case *syntax.IfStmt:
			inner = [][]syntax.Stmt{st.True, st.False}
		case *syntax.ForStmt:
			inner = [][]syntax.Stmt{st.Body}
		case *syntax.WhileStmt:
			inner = [][]syntax.Stmt{st.Body}
		}
		if id != nil {
			if err := fn(id, seen[id.Name]); err != nil {
				return err
			}
			seen[id.Name] = id.NamePos
		}
		for _, b := range inner {
			if err := eachDefinition(b, fn); err != nil {
				return err
			}
		}
	}
	return nil
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
