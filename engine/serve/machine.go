package serve

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// failure is the response of a TPM that is off or whose host failed: TPM_RC_FAILURE without sessions.
func failure() []byte { return header(0x101) }

// wrongLocality is TPM_RC_LOCALITY.
func wrongLocality() []byte { return header(0x907) }

// tooLarge is TPM_RC_COMMAND_SIZE.
func tooLarge() []byte { return header(0x142) }

func header(rc uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x80, 0x01, 0, 0, 0, 10}, rc)
}

// machine is the platform around the TPM: its power switch, and the state blobs of a virtual machine that is being saved
// or restored. Connections share it.
type machine struct {
	mu          sync.Mutex
	tpm         TPM
	powered     bool
	dirty       bool  // it was powered off: power on means a power cycle
	locality    uint8 // of commands on swtpm's data channel
	established bool  // a hash sequence ran: TPM_ACCESS_x.tpmEstablishment
	permanent   []byte
	resume      bool // permanent came with volatile state: go on instead of powering on

	canceling atomic.Bool // the simulator's cancel signal is on
}

// send runs a command at a locality. A TPM that is off answers nil.
func (m *machine) send(locality uint8, command []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.powered {
		return nil, nil
	}
	m.tpm.SetLocality(locality)
	m.tpm.Cancel(m.canceling.Load()) // what was to be canceled before has answered
	response, err := m.tpm.Send(command)
	if err != nil {
		return failure(), err
	}
	return response, nil
}

func (m *machine) currentLocality() uint8 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.locality
}

func (m *machine) setLocality(locality uint8) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.locality = locality
}

// powerOn gives a TPM that is off its power back.
func (m *machine) powerOn() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.powered {
		return nil
	}
	return m.start()
}

// restart takes the power away and gives it back, or brings a virtual machine's TPM up from blobs that were set.
func (m *machine) restart() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirty = m.dirty || m.powered
	return m.start()
}

func (m *machine) start() error {
	blob, resume := m.permanent, m.resume
	m.permanent, m.resume, m.established = nil, false, false
	if blob != nil {
		if err := m.tpm.Restore(blob); err != nil {
			return err
		}
	}
	if blob != nil && !resume || blob == nil && m.dirty {
		if err := m.tpm.PowerCycle(); err != nil {
			return err
		}
	}
	m.powered, m.dirty = true, false
	return nil
}

func (m *machine) powerOff() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirty = m.dirty || m.powered
	m.powered = false
}

func (m *machine) isPowered() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.powered
}

func (m *machine) presence(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tpm.SetPhysicalPresence(on)
}

func (m *machine) hashStart() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.established = true
	m.tpm.HashStart()
}

func (m *machine) hashData(data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tpm.HashData(data)
}

func (m *machine) hashEnd() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tpm.HashEnd()
}

func (m *machine) wasEstablished() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.established
}

func (m *machine) resetEstablished() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.established = false
}

// cancel ends the command that runs, if it is one that takes long. It does not wait for it.
func (m *machine) cancel() { m.tpm.Cancel(true) }

// cancelSignal sets the simulator's signal, which holds until it is taken back.
func (m *machine) cancelSignal(on bool) {
	m.canceling.Store(on)
	m.tpm.Cancel(on)
}

func (m *machine) snapshot(portable bool) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tpm.Snapshot(portable)
}

// keepRunning makes the next start go on from the present moment, as storing the volatile state does for swtpm.
func (m *machine) keepRunning() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	blob, _, err := m.tpm.Snapshot(false)
	if err == nil {
		m.permanent, m.resume = blob, true
	}
	return err
}

func (m *machine) setPermanent(blob []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.permanent = blob
}

func (m *machine) setVolatile(present bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resume = present
}
