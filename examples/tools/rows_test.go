package tools

// rowTests are the tests of tools that print a line for each event.
var rowTests = []rowTest{
	{tool: "killsnoop", load: "kill 3", cols: []string{"sig", "tpid", "result"}, wide: true, want: map[string]int{"WINCH self 0": 9, "0 -1 EBADF": 3}},
	{tool: "killsnoop", args: []string{"--failed"}, load: "kill 3", cols: []string{"sig", "tpid", "result"}, want: map[string]int{"0 -1 EBADF": 3}},
}
