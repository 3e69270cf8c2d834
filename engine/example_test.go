package engine_test

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
)

// A TPM for a test: in memory, started up, gone at the end.
func Example() {
	tpm, err := engine.New(engine.Config{})
	if err != nil {
		panic(err)
	}
	key, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(tpm)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%#x, %v\n", uint32(key.ObjectHandle), tpm.Close())
	// Output: 0x80000000, <nil>
}

// A TPM that goes on from one process to the next, here from one New to the next with the same Store.
func ExampleNew() {
	store := engine.NewMemoryStore()
	for range 2 {
		tpm, err := engine.New(engine.Config{Store: store})
		if err != nil {
			panic(err)
		}
		_, err = tpm2.PCREvent{PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(16), Auth: tpm2.PasswordAuth(nil)},
			EventData: tpm2.TPM2BEvent{Buffer: []byte("once more")}}.Execute(tpm)
		if err != nil {
			panic(err)
		}
		pcrs, err := tpm2.PCRRead{PCRSelectionIn: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
			Hash: tpm2.TPMAlgSHA1, PCRSelect: tpm2.PCClientCompatible.PCRs(16)}}}}.Execute(tpm)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%x\n", pcrs.PCRValues.Digests[0].Buffer)
		if err := tpm.Close(); err != nil {
			panic(err)
		}
	}
	// Output:
	// e01c5245435760012bb0b10fe0f4f888ec34e9a4
	// fda544384d92645620098ea019bf024253b8dbe6
}
