package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

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

// A TPM whose state is on disk: encrypted, written before each answer, held by one process at a time.
func ExampleOpenFileStore() {
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := engine.OpenFileStore(context.Background(), filepath.Join(dir, "state"), engine.FileOptions{})
	if err != nil {
		panic(err)
	}
	tpm, err := engine.New(engine.Config{Store: store})
	if err != nil {
		panic(err)
	}
	fmt.Println(tpm.Close()) // closes the store too
	// Output: <nil>
}

// A TPM that is the same in every run: with its randomness and its clock given, so are its keys, nonces and times.
func ExampleConfig() {
	tpm, err := engine.New(engine.Config{
		Rand: rand.NewChaCha8([32]byte{1}),
		Now:  func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		panic(err)
	}
	key, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(tpm)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%x\n", key.Name.Buffer)
	// Output: 000b68eb3e4d2cd1009ac1ceda34ebee2a2b3821bccd8e4de428deb53f67e788c6d2
}

// Locality is the platform's to say, not the command's. PCR 17 can only be reset from locality 4.
func ExampleTPM_SetLocality() {
	tpm, err := engine.New(engine.Config{})
	if err != nil {
		panic(err)
	}
	reset := tpm2.PCRReset{PCRHandle: tpm2.AuthHandle{Handle: 17, Auth: tpm2.PasswordAuth(nil)}}
	_, refused := reset.Execute(tpm)
	tpm.SetLocality(4)
	_, allowed := reset.Execute(tpm)
	fmt.Println(refused)
	fmt.Println(allowed)
	// Output:
	// TPM_RC_LOCALITY: bad locality
	// <nil>
}

// A reboot of the host. PowerCycle is the plug pulled instead, after which a client has to send TPM2_Startup.
func ExampleTPM_Reset() {
	tpm, err := engine.New(engine.Config{})
	if err != nil {
		panic(err)
	}
	resets := func() uint32 {
		clock, err := tpm2.ReadClock{}.Execute(tpm)
		if err != nil {
			return 0
		}
		return clock.CurrentTime.ClockInfo.ResetCount
	}
	before := resets()
	fmt.Println(tpm.Reset(), resets()-before)
	fmt.Println(tpm.PowerCycle(), resets())
	_, err = tpm2.Startup{StartupType: tpm2.TPMSUClear}.Execute(tpm)
	fmt.Println(err, resets()-before)
	// Output:
	// <nil> 1
	// <nil> 0
	// <nil> 2
}
