module github.com/google/go-tpm-tools

go 1.26.0

require github.com/vtpmctl/vtpmctl v0.0.0

require (
	github.com/emmansun/gmsm v0.43.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/vtpmctl/vtpmctl => ../..
