// Package quote proves the PCRs of a TPM to somebody who is not there, and judges such proof. It makes attestation keys,
// takes quotes with them, puts quote, PCR values and event log into one evidence file, and verifies evidence against a
// list of named checks.
//
// Create, Take and Verify are the functions to know. Making keys and taking quotes need a tpm.Sender; Decode and Verify
// open no TPM, touch no file and read no clock. Evidence is hostile input: it was made by the machine that is being
// judged. Whatever in it is not covered by the TPM's signature is said to be so.
package quote
