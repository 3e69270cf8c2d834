// Command vtpmctl measures, seals, proves and predicts the state of virtual machines that have a virtual TPM.
package main

import (
	"os"

	"github.com/vtpmctl/vtpmctl/cmd"
)

func main() { os.Exit(cmd.Main()) }
