// Package engine is a TPM 2.0 in Go: the library specification's behaviour with the PC Client profile, in software, with
// durable state. It needs no device, no service and no C.
//
//	tpm, err := engine.New(engine.Config{})          // a new TPM in memory, started up
//	response, err := tpm.Send(command)               // raw TPM 2.0 commands and responses
//	err = tpm.Close()
//
// A client such as go-tpm talks to it directly: *TPM has the one method Send that its transport.TPM asks for.
//
// # Power and time
//
// With the default Power, StaysOn, a TPM counts as powered from one process to the next. PCRs, hierarchies, clock and
// dictionary-attack timers go on, by the time that passed on the host; Close keeps sessions and transient objects
// too. Reset and PowerCycle are explicit; SetResetPolicy makes a reboot of the host reset the TPM too. A process that
// dies without Close loses at most the command in flight and what a resource manager would have flushed: loaded
// sessions and transient objects, which are written by Close only and leave the store when it is opened, so that no
// session can be rolled back and replayed.
//
// With OffBetween the process is the power: the state holds what is in NV, and a client sends TPM2_Startup. Close takes the
// power away, and Clock stands still until the next process; after a crash it goes on by the time that passed on the host.
//
// A command that changes the state writes it once, one that reads never does: what time alone did follows from the host's clock.
//
// # What it protects
//
// The engine keeps the rules of a TPM towards whoever talks to it through Send. It cannot keep secrets from somebody
// who reads the memory of its process or, unless the Store encrypts it, its state.
//
// # What the package may touch
//
// The standard library, internal/wire and engine/internal; time and randomness only through Config.
package engine
