package repl

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/tmux"
	"github.com/bpfrepl/bpfrepl/internal/testkit/transcript"
)

// The transcripts of sessions, in the format of %log, are typed again and must print the same
// output. They start programs: load makes a known number of system calls. UPDATE=1 writes the
// current output.
func TestTranscripts(t *testing.T) {
	load, err := buildbin.Build("internal/testkit/loadgen")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			opt := tmux.Options{Dir: dir, Env: []string{"XDG_STATE_HOME=" + dir, "PATH=" + filepath.Dir(load) + ":" + os.Getenv("PATH")}}
			items := transcript.REPL.Parse(string(text))
			now := transcript.Compare(t, items, transcript.Rerun(t, opt, items, binary(t), "--allow-run"))
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(name, []byte(transcript.REPL.Format(now)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
