// Package starlarkbind connects Starlark scripts to the kernel. It defines the Starlark values and
// builtins (probes, aggregations, tables, streams, errors), asks the compiler for programs, and
// asks package bpf for kernel objects. It and the packages below it are the only ones that know
// both Starlark and the kernel. A Session is one script or one prompt.
//
// A Session is a struct of parts, each with its own methods and lock. The other files use the parts
// that they need:
//
//   - runner.Runner: what is running, and what Ctrl-C ends; waits (run.go): what run() waits for.
//   - detaching (detach.go): what the kernel has not finished detaching.
//   - registry (registry.go): the probes and maps that the script has created.
//   - names.Namespace: the names that the script can use.
//   - kernelShared (kernel_shared.go): kernel objects that all programs share.
//   - records.Records: prints, and streams.
//   - codec.Codec: values as the kernel stores them, with codec.ProbeNames, codec.StackMaps and
//     codec.Symbols: the numbers of probes, the stacks, the names of addresses.
//   - warnings.Warner: warnings and notes, each printed once.
//   - universe.Guards: Starlark's own builtins, made interruptible.
//   - export.Exporter: to_csv(), plot(), flamegraph(), pprof().
//   - hostrun.Handlers: calls of handlers and of their functions by the script.
//   - terminal.Output: what is printed, as text or JSON.
//
// The rest is divided as follows:
//
//   - session.go, run.go, watch.go, prompt.go: a session, run(), and what the prompt needs.
//   - probe_targets.go, probe.go, probe_attach.go, detach.go, release.go, pidfilter.go: the life of
//     a probe: probe() and its targets, the value, attaching, detaching, its release.
//   - load.go, load_groups.go, loader.go: compiling a handler for its targets, loading it,
//     and compiling it again in another form if the verifier refuses the first.
//   - process.go: spawn(), run_command(), exit().
//   - testing.go: a test of a script, run for package cmd/bpfrepl/scripttest.
//   - script_add.go: add() in the script.
//   - print.go: print() in the script, and how maps are shown. Package records prints what handlers
//     print.
//   - hosts.go: what the packages below need of a session.
//   - builtins.go, help.go: tables of functions, and what help and completion read of them.
//   - errors.go: errors of helpers, and the warnings about them; overhead.go: what --max-overhead
//     detaches; script_error.go: errors of scripts; notes.go: notes.
//
// What needs no session is in packages of its own, which import each other one way
// (internal/archtest):
//
//   - source: the text and the syntax trees of scripts; hints: hints about other languages; cfmt: C
//     formats; flags: command-line flags; items: the items of a prompt.
//   - complete: what Tab completes at the prompt; help: the texts of help(); kernelinfo: what
//     --info and -l print.
//   - assert: the assertions of tests.
//   - runner, universe, proc: what is running, and how it ends.
//   - names: what a name means to the script and to the compiler.
//   - modules: load(); std: the standard library, in Starlark.
//   - maps: aggregations and tables, which know their session as a maps.Host; methods: tables of
//     the methods of values.
//   - records: prints and streams, which know their session as a records.Host.
//   - hostrun: runs handlers in the interpreter, with the arithmetic of the kernel.
//   - codec, ktypes, structs, hist, dictbuild: values of the kernel and of scripts.
//   - files: files that scripts read and write.
//   - terminal, render, export, plot, flame, pprof: output.
//   - helpererr: the helper_error value and the texts of errors; warnings: what users are warned
//     about; overhead: the limit on CPU time.
package starlarkbind
