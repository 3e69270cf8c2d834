// Command vtpmctl measures, seals, proves and predicts the state of virtual machines that have a virtual TPM.
package main

import "os"

func main() { os.Exit(0) }
