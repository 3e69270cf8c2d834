// Command bench measures vtpmctl beside the programs that people use in its place, in one run, in turns, and prints
// Markdown tables.
//
//	go run ./bench [-n ROUNDS] [-only WORD]   commands, against tpm2-tools on one swtpm
//	go run ./bench [-n ROUNDS] engine         the TPM engine, against swtpm
//	go run ./bench -log FILE                  only write the event log that the commands read
//
// With the reference simulator as a third, which needs a C compiler: cd bench/gotpmtools && go run . speed.
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
	word := flag.String("only", "", "time only the commands whose row has this `WORD` in its name")
	logOnly := flag.String("log", "", "only write the event log that is read here to this `FILE`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	switch {
	case *logOnly != "":
		err = os.WriteFile(*logOnly, bootLog(), 0o600)
	case flag.Arg(0) == "engine":
		err = rival.Race(ctx, os.Stdout, *rounds, nil)
	case flag.NArg() == 0:
		err = tools(ctx, os.Stdout, *rounds, *word)
	default:
		err = errors.New("what to measure? engine, or nothing for the commands")
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
