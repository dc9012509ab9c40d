# make demo   builds ./bpfrepl and counts this machine's system calls by command for five seconds
# make test   the whole test suite: formatting, vet, staticcheck, tests on the live kernel
# make bench  figures beside bpftrace's; bench/setup.sh installs the peers
# Go, make and root are all that is needed.
.PHONY: build demo test bench

build:
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bpfrepl ./cmd/bpfrepl

demo: build
	./bpfrepl examples/syscount.star --seconds 5

test: build
	test -z "$$(gofmt -l .)" || { gofmt -l .; false; }
	go vet ./...
	go tool staticcheck ./...
	go test -p 1 -count=1 ./...

bench: build
	go run ./bench
