package bpf

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

var showLogs = flag.Bool("show-logs", false, "print the verifier's logs, for testdata/refusals")

// wrong contains programs that every verifier refuses at line 2. reason matches the wording of
// every kernel.
var wrong = []struct {
	name   string
	reason string
	body   []asm.Instruction
}{
	{"register", `^R3 !read_ok$`, []asm.Instruction{asm.LoadMem(asm.R2, asm.R3, 0, asm.DWord)}},
	{"beyond", `^invalid (write to )?stack`, []asm.Instruction{asm.StoreMem(asm.R10, -520, asm.R0, asm.DWord)}},
	{"variable", `^math between fp pointer and register with unbounded min value is not allowed`, []asm.Instruction{asm.LoadMem(asm.R2, asm.R1, 0, asm.DWord), asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Reg(asm.R3, asm.R2),
		asm.StoreMem(asm.R3, 0, asm.R0, asm.DWord)}},
	{"scalar", `^R2 invalid mem access '(inv|scalar)'$`, []asm.Instruction{asm.LoadMem(asm.R2, asm.R1, 0, asm.DWord), asm.LoadMem(asm.R2, asm.R2, 0, asm.DWord)}},
	{"helper", `^(program of this type cannot use helper|unknown func) bpf_override_return#58$`, []asm.Instruction{asm.BuiltinFunc(58).Call()}}, // bpf_override_return
}

func wrongProgram(body []asm.Instruction) asm.Instructions {
	insns := asm.Instructions{asm.Mov.Imm(asm.R0, 0).WithSource(asm.Comment("x.star:1:1: def handler(e):")).WithSymbol("handler")}
	insns = append(insns, body...)
	insns[1] = insns[1].WithSource(asm.Comment("x.star:2:5: bad()"))
	return append(insns, asm.Mov.Imm(asm.R0, 0).WithSource(asm.Comment("x.star:3:5: never()")), asm.Return())
}

// TestRefusals checks that this kernel's verifier log for wrong programs is parsed: the reason, and
// the source line.
func TestRefusals(t *testing.T) {
	for _, w := range wrong {
		_, err := NewProgram(ProgramSpec{Name: "wrong", Type: ebpf.RawTracepoint, Instructions: wrongProgram(w.body)})
		var r *VerifierError
		if !errors.As(err, &r) {
			t.Errorf("%s: %v", w.name, err)
			continue
		}
		if *showLogs {
			fmt.Printf("@@log %s\n%s\n@@end\n", w.name, strings.Join(r.Log, "\n"))
		}
		checkRefusal(t, w.name, w.reason, r)
	}
}

func checkRefusal(t *testing.T, name, reason string, r *VerifierError) {
	t.Helper()
	if !regexp.MustCompile(reason).MatchString(r.Reason) {
		t.Errorf("%s: the reason is %q, want %s\n%s", name, r.Reason, reason, strings.Join(r.Log, "\n"))
	}
	if r.Source != "x.star:2:5: bad()" {
		t.Errorf("%s: the source is %q\n%s", name, r.Source, strings.Join(r.Log, "\n"))
	}
}

// TestRefusalLogs does the same for logs of other kernels: testdata/refusals/KERNEL-NAME.log.
func TestRefusalLogs(t *testing.T) {
	files, err := filepath.Glob("testdata/refusals/*.log")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 5*len(wrong) {
		t.Errorf("only %d logs of %d programs on five kernels", len(files), len(wrong))
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(f), ".log"), "-")
		i := slices.IndexFunc(wrong, func(w struct {
			name   string
			reason string
			body   []asm.Instruction
		}) bool {
			return w.name == name
		})
		if i < 0 {
			t.Errorf("%s: no program of that name", f)
			continue
		}
		r := &VerifierError{Log: strings.Split(strings.TrimSpace(string(text)), "\n")}
		r.Reason, r.Source = explain(r.Log, wrongProgram(wrong[i].body))
		checkRefusal(t, f, wrong[i].reason, r)
	}
}
