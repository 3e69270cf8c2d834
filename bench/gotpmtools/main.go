// Command gotpmtools puts the TCG reference code beside swtpm and the engine of vtpmctl: as go-tpm-tools builds it, in
// process. It is a module of its own, for it needs cgo, a C compiler and OpenSSL's headers.
//
//	go run . [-n ROUNDS] speed          the table of docs/performance.md
//	go run . answers [-differs]         the differential test of the engine, with the reference as the third
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/vtpmctl/vtpmctl/bench/rival"
)

func main() {
	rounds := flag.Int("n", 21, "time each command this often")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *rounds)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotpmtools:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int) error {
	tpm, err := open()
	if err != nil {
		return err
	}
	switch flag.Arg(0) {
	case "speed":
		return rival.Race(ctx, os.Stdout, rounds, rival.InProcess(tpm, tpm.s.Close))
	case "answers":
		err = answers(ctx, tpm, flag.Args()[1:])
	default:
		err = errors.New("what to do? speed or answers")
	}
	return errors.Join(err, tpm.s.Close())
}
