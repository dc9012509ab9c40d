package tools

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestFormats checks what tools print as text and as JSON.
func TestFormats(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	output := func(argv ...string) []string {
		t.Helper()
		out, _ := runTool(t, t.TempDir(), append(argv, "-c", self+" load kill 1"), nil, false)
		return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	}
	text := output("killsnoop", "--failed")
	if len(text) != 2 || text[0] != "TIME     PID     COMM             SIG          TPID RESULT" || strings.Index(text[1], "EBADF") != strings.Index(text[0], "RESULT") {
		t.Errorf("got\n%s", strings.Join(text, "\n"))
	}
	var line struct {
		Type  string
		Value map[string]any
	}
	objects := output("killsnoop", "--failed", "-f", "json")
	if err := json.Unmarshal([]byte(objects[0]), &line); err != nil || len(objects) != 1 {
		t.Fatalf("%v in\n%s", err, strings.Join(objects, "\n"))
	}
	if v := line.Value; line.Type != "value" || v["comm"] != comm() || v["sig"] != float64(0) || v["result"] != "EBADF" || v["tpid"] != float64(-1) || len(v) != 6 {
		t.Errorf("got %v", line)
	}
	objects = output("-f", "json", "runqlat", "--per-process")
	if err := json.Unmarshal([]byte(objects[0]), &line); err != nil {
		t.Fatalf("%v in\n%s", err, strings.Join(objects, "\n"))
	}
	h, ok := line.Value["microseconds"].(map[string]any)
	if !ok || h["count"].(float64) < 1 || line.Value["pid"] == nil || line.Value["comm"] == nil {
		t.Errorf("got %v", line)
	}
}
