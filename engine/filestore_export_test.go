package engine

// What the tests of the file store look at from outside.
var (
	EncodeStateHeaderForTest = func(rounds uint32, salt, seed []byte) []byte {
		return encodeStateHeader(keySource{kind: keyPassphrase, rounds: rounds, salt: salt}, seed)
	}
	FinishStateFileForTest = finishStateFile
	DecodeStateFileForTest = func(raw []byte) (again []byte, err error) {
		f, err := decodeStateFile(raw)
		if err != nil {
			return nil, err
		}
		return finishStateFile(encodeStateHeader(f.key, f.seed), f.sealed), nil
	}
)
