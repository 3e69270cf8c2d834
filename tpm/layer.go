package tpm

import "slices"

// layer adds one behaviour to a Sender. A layer passes a TPM's refusal on as the response it is: go-tpm ends the
// sessions of a failed command only when it sees the response code itself.
type layer func(Sender) Sender

// stack puts layers on s, the first one outermost.
func stack(s Sender, layers ...layer) Sender {
	for _, layer := range slices.Backward(layers) {
		s = layer(s)
	}
	return s
}

// senderFunc makes a function a Sender.
type senderFunc func(command []byte) ([]byte, error)

func (f senderFunc) Send(command []byte) ([]byte, error) { return f(command) }
