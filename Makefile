# make demo   builds ./bpfrepl and counts this machine's system calls by command for five seconds
# make test   the whole test suite: formatting, vet, staticcheck, tests on the live kernel
# make oracle random handlers, interpreted and in the kernel, must agree; SEEDS=0 N=100000 is the long run
# make vmtest the tests that touch the kernel under Debian's kernels 5.10, 6.1, 6.12 and 7.2, in virtual machines
# make vmshort the part of vmtest that CI runs: packages bpf, kinds and feature under all, starlarkbind under 6.1 and 6.12, and its tests of SHORT under the others
# make vmsoak N=5 make vmtest five times while the host is busy, and a report on each run
# make vmlockups  machines that crash, lock up and hang are found, and what did not run is run again; kernels may patch their code
# make fuzz   a minute of random source text for the compiler, and of hostile files for all that reads them
# make bench  figures beside bpftrace's; bench/setup.sh installs the peers
# Go, make and root are all that is needed.
.PHONY: build demo test oracle vmtest vmshort vmsoak vmlockups fuzz bench

# a checkout that belongs to another user (a container's, root's) has no version to stamp
export GOFLAGS += -buildvcs=false

# the seeds of the oracle's runs, and how many handlers each makes; seed 0 is another one each time
SEEDS ?= 1 2
N ?= 2000

# the tests that also run under a kernel that puts a program aside for another anywhere
PREEMPTED = ^Test(RaceNewKeys|SameKey|SameKeyKinds|FullMap|Nesting|ScratchNested|DeltaAndClear|ClearUnderLoad)$$

# the tests of scripts that CI runs under 5.10 and 7.2; under 6.1 and 6.12 it runs all
SHORT = ^Test(AllKinds|Live|PIDFilter.*|RaceNewKeys|SameKey.*|FullMap|OracleCases|HandLoops|RunBudget|KeptAcrossCalls|Missing.*|Kprobe.*|Function.*|Syscall.*|Compat.*|FirstAndMissing)$$

build:
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bpfrepl ./cmd/bpfrepl

demo: build
	./bpfrepl examples/syscount.star --seconds 5

test: build
	test -z "$$(gofmt -l .)" || { gofmt -l .; false; }
	go vet ./...
	go tool staticcheck ./...
	go test -p 1 -count=1 -timeout 30m ./...
	$(MAKE) oracle

oracle:
	for seed in $(SEEDS); do go test ./starlarkbind -count=1 -run 'TestOracle$$' -rapid.checks=$(N) -rapid.seed=$$seed -timeout 4h || exit 1; done

vmtest:
	go run ./internal/testkit/vmtest/cmd -suite -t 20m
	go run ./internal/testkit/vmtest/cmd -suite -t 12m -k 6.12 -boot preempt=full -run '$(PREEMPTED)'

vmshort:
	for p in bpf bpf/kinds bpf/feature; do go run ./internal/testkit/vmtest/cmd -suite -t 12m -pkg $$p || exit 1; done
	go run ./internal/testkit/vmtest/cmd -suite -t 20m -pkg starlarkbind -k 6.1 -k 6.12
	go run ./internal/testkit/vmtest/cmd -suite -t 12m -pkg starlarkbind -k 5.10 -k 7.2 -run '$(SHORT)'

vmsoak: N = 5
vmsoak:
	go run ./internal/testkit/vmtest/cmd -suite -t 20m -soak $(N)
	go run ./internal/testkit/vmtest/cmd -suite -t 12m -soak $(N) -k 6.12 -boot preempt=full -run '$(PREEMPTED)'

vmlockups:
	go test -tags machines -count=1 -v -parallel 2 -timeout 30m -run 'Test(Lockups|Patching)$$' ./internal/testkit/vmtest

fuzz:
	for f in compiler:FuzzCompile bpf/exe:FuzzELF bpf/exe:FuzzNotes bpf/tracefmt:FuzzFormat bpf/symbol:FuzzKallsyms bpf/symbol:FuzzMapping bpf/symbol:FuzzSymbols; do \
		go test ./$${f%:*} -run '^$$' -fuzz "^$${f#*:}\$$" -fuzztime 1m -fuzzminimizetime 1s -parallel 1 || exit 1; done

bench: build
	go run ./bench
