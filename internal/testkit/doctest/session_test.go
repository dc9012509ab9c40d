package doctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/tmux"
	"github.com/bpfrepl/bpfrepl/internal/testkit/transcript"
)

// TestSessions types again what the documents show of the prompt (the pycon blocks of a document,
// which form one session) and of a shell (console blocks), and checks that the output is the same.
// Scripts with names (blocks marked python NAME) exist as files. UPDATE=1 writes the new output
// into the documents.
func TestSessions(t *testing.T) {
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, doc := range documents(t) {
		var prompt, shell []block
		dir := t.TempDir()
		for _, b := range blocks(doc.text) {
			switch kind, name, _ := strings.Cut(b.lang, " "); {
			case kind == "pycon":
				prompt = append(prompt, b)
			case kind == "console":
				shell = append(shell, b)
			case kind == "python" && name != "":
				if err := os.WriteFile(filepath.Join(dir, name), []byte(b.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if prompt == nil && shell == nil {
			continue
		}
		n++
		t.Run(filepath.Base(doc.file), func(t *testing.T) {
			opt := tmux.Options{Dir: dir, Env: []string{"XDG_STATE_HOME=" + dir, "PATH=" + filepath.Dir(bin) + ":" + os.Getenv("PATH")}}
			now := rerun(t, doc.text, transcript.REPL, prompt, func(items []transcript.Item) []transcript.Item {
				return transcript.Rerun(t, opt, items, "bpfrepl", "--allow-run")
			})
			now = rerun(t, now, transcript.Shell, shell, func(items []transcript.Item) []transcript.Item { return run(opt, items) })
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(doc.file, []byte(now), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if n == 0 {
		t.Error("no session was found")
	}
}

// rerun compares the blocks bs, which together are one session, with their output when run again.
// It returns the document with the new output.
func rerun(t *testing.T, doc string, p transcript.Prompts, bs []block, again func([]transcript.Item) []transcript.Item) string {
	t.Helper()
	if bs == nil {
		return doc
	}
	var want []transcript.Item
	ends := make([]int, len(bs))
	for i, b := range bs {
		for _, it := range p.Parse(b.text) {
			it.Line += b.line - 1
			want = append(want, it)
		}
		ends[i] = len(want)
	}
	now := transcript.Compare(t, want, again(want))
	from := 0
	for i, b := range bs {
		fence := "```" + b.lang + "\n"
		doc = strings.Replace(doc, fence+b.text+"```", fence+p.Format(now[from:ends[i]])+"```", 1)
		from = ends[i]
	}
	return doc
}

// run runs each item as a shell command.
func run(opt tmux.Options, items []transcript.Item) (out []transcript.Item) {
	for _, it := range items {
		cmd := exec.Command("sh", "-c", it.Src)
		cmd.Dir, cmd.Env = opt.Dir, append(os.Environ(), opt.Env...)
		text, err := cmd.CombinedOutput()
		it.Out = string(text)
		if err != nil && it.Out == "" {
			it.Out = err.Error() + "\n"
		}
		out = append(out, it)
	}
	return out
}
