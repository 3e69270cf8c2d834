module github.com/vtpmctl/vtpmctl/bench/gotpmtools

go 1.26.0

require (
	github.com/google/go-tpm-tools v0.4.11
	github.com/vtpmctl/vtpmctl v0.0.0
)

require (
	github.com/emmansun/gmsm v0.43.0 // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/vtpmctl/vtpmctl => ../..
