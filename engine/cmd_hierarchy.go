package engine

import (
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

type hierarchyChangeAuthIn struct {
	Auth    handle `tpm:"hierarchies,user"`
	NewAuth digest2B
}

// hierarchyChangeAuth is TPM2_HierarchyChangeAuth.
func (t *TPM) hierarchyChangeAuth(in *hierarchyChangeAuthIn) (*none, error) {
	auth := trimAuth(in.NewAuth)
	if len(auth) > crypt.HashSize(contextHash) {
		return nil, rcSize.param(1)
	}
	t.authorityOf(in.Auth).Auth = auth
	return nil, nil
}

type setPrimaryPolicyIn struct {
	Auth   handle `tpm:"policies,user"`
	Policy digest2B
	Alg    hashAlgOrNull
}

// setPrimaryPolicy is TPM2_SetPrimaryPolicy.
func (t *TPM) setPrimaryPolicy(in *setPrimaryPolicyIn) (*none, error) {
	if len(in.Policy) != crypt.HashSize(uint16(in.Alg)) {
		return nil, rcSize.param(1)
	}
	a := t.authorityOf(in.Auth)
	a.Policy, a.PolicyAlg = in.Policy, uint16(in.Alg)
	return nil, nil
}

type hierarchyControlIn struct {
	Auth   handle `tpm:"hierarchy,user"`
	Enable enables
	State  yesNo
}

// enables is a TPMI_RH_ENABLES.
type enables handle

func (v *enables) code(c *coder) {
	c.u32((*uint32)(v))
	h := handle(*v)
	c.require(h == rhOwner || h == rhEndorsement || h == rhPlatform || h == rhPlatformNV, rcValue)
}

// hierarchyControl is TPM2_HierarchyControl. Who turns a hierarchy off need not be who may turn it on again.
func (t *TPM) hierarchyControl(in *hierarchyControlIn) (*none, error) {
	var enabled *bool
	switch handle(in.Enable) {
	case rhOwner:
		enabled = &t.nv.Owner.Enabled
	case rhEndorsement:
		enabled = &t.nv.Endorsement.Enabled
	case rhPlatform:
		enabled = &t.nv.Platform.Enabled
	default:
		enabled = &t.nv.PlatformNVEnabled
	}
	if in.Auth != rhPlatform && in.Auth != handle(in.Enable) { // one that is off authorizes nothing, not even to be turned on
		return nil, rcAuthType
	}
	if *enabled && !bool(in.State) && handle(in.Enable) != rhPlatformNV {
		t.flushHierarchy(handle(in.Enable))
	}
	*enabled = bool(in.State)
	return nil, nil
}

type platformIn struct {
	Auth handle `tpm:"platform,user"`
}

// changeEPS is TPM2_ChangeEPS.
func (t *TPM) changeEPS(*platformIn) (*none, error) {
	t.nv.Endorsement.Enabled = true
	return nil, t.replaceHierarchy(rhEndorsement)
}

// changePPS is TPM2_ChangePPS. The PCRs' own policies go with the platform.
func (t *TPM) changePPS(*platformIn) (*none, error) {
	auth := t.nv.Platform.Auth
	if err := t.replaceHierarchy(rhPlatform); err != nil {
		return nil, err
	}
	t.nv.Platform.Auth = auth
	for i := range t.nv.PCRGroups {
		t.nv.PCRGroups[i] = authority{PolicyAlg: crypt.AlgNull}
	}
	return nil, nil
}

// replaceHierarchy gives a hierarchy a new seed and proof, and removes what belonged to the old ones.
func (t *TPM) replaceHierarchy(root handle) error {
	if err := t.reseed(t.hierarchyOf(root)); err != nil {
		return err
	}
	t.flushHierarchy(root)
	t.nv.Persistent = slices.DeleteFunc(t.nv.Persistent, func(o *object) bool { return o.Hierarchy == root })
	return nil
}

type clearIn struct {
	Auth handle `tpm:"clear,user"`
}

// clear is TPM2_Clear: a new owner. The endorsement keys stay, but nothing that was proven under them.
func (t *TPM) clear(*clearIn) (*none, error) {
	if t.nv.DisableClear {
		return nil, rcDisabled
	}
	if err := t.replaceHierarchy(rhOwner); err != nil {
		return nil, err
	}
	seed := t.nv.Endorsement.Seed
	if err := t.replaceHierarchy(rhEndorsement); err != nil {
		return nil, err
	}
	t.nv.Endorsement.Seed = seed
	t.nv.Owner.Enabled, t.nv.Endorsement.Enabled = true, true
	t.nv.Lockout = authority{PolicyAlg: crypt.AlgNull}
	t.nv.DA = newLockoutState()
	t.dropIndices(func(x *nvIndex) bool { return !x.is(nvPlatformOwned) })
	t.nv.ResetCount, t.ram.RestartCount, t.ram.ClearCount, t.nv.AuditCounter = 0, 0, 0, 0
	t.Clock, t.nv.ClockUnsafe = 0, false
	t.ram.PCRAuths = [pcrGroups][]byte{}
	t.ram.PCRCounter++ // policies that looked at PCRs look again
	return nil, nil
}

type clearControlIn struct {
	Auth    handle `tpm:"clear,user"`
	Disable yesNo
}

// clearControl is TPM2_ClearControl. The lockout authority can only forbid.
func (t *TPM) clearControl(in *clearControlIn) (*none, error) {
	if in.Auth == rhLockout && !bool(in.Disable) {
		return nil, rcAuthFail
	}
	t.nv.DisableClear = bool(in.Disable)
	return nil, nil
}

type ppCommandsIn struct {
	Auth       handle `tpm:"platform,user"`
	Set, Clear commandList
}

// commandList is a TPML_CC.
type commandList []uint32

func (l *commandList) code(c *coder) { list(c, (*[]uint32)(l), maxCommandsList, c.u32) }

// ppCommands is TPM2_PP_Commands.
func (t *TPM) ppCommands(in *ppCommandsIn) (*none, error) {
	for _, cc := range in.Set {
		if c := findCommand(cc); c != nil && c.flags&flagPP != 0 {
			t.nv.PPCommands = include(t.nv.PPCommands, cc)
		}
	}
	for _, cc := range in.Clear {
		if c := findCommand(cc); c != nil && c.flags&flagPP != 0 {
			t.nv.PPCommands = exclude(t.nv.PPCommands, cc)
		}
	}
	return nil, nil
}

// include and exclude keep an ordered set.
func include(set []uint32, v uint32) []uint32 {
	i, found := slices.BinarySearch(set, v)
	if found {
		return set
	}
	return slices.Insert(set, i, v)
}

func exclude(set []uint32, v uint32) []uint32 {
	i, found := slices.BinarySearch(set, v)
	if !found {
		return set
	}
	return slices.Delete(set, i, i+1)
}

type setAlgorithmSetIn struct {
	Auth handle `tpm:"platform,user"`
	Set  uint32
}

// setAlgorithmSet is TPM2_SetAlgorithmSet. The number is kept; this TPM has one set.
func (t *TPM) setAlgorithmSet(in *setAlgorithmSetIn) (*none, error) {
	t.nv.AlgorithmSet = in.Set
	return nil, nil
}

type auditStatusIn struct {
	Auth       handle `tpm:"provision,user"`
	Alg        hashAlgOrNull
	Set, Clear commandList
}

// setCommandCodeAuditStatus is TPM2_SetCommandCodeAuditStatus: either a new algorithm, or a change of the list.
func (t *TPM) setCommandCodeAuditStatus(in *auditStatusIn) (*none, error) {
	if alg := uint16(in.Alg); alg != crypt.AlgNull && alg != t.nv.AuditAlg {
		if len(in.Set) > 0 || len(in.Clear) > 0 {
			return nil, rcValue.param(1)
		}
		t.nv.AuditAlg, t.ram.AuditDigest = alg, nil
		return nil, nil
	}
	for _, cc := range in.Set {
		if findCommand(cc) != nil && cc != ccShutdown {
			t.nv.AuditCommands = include(t.nv.AuditCommands, cc)
		}
	}
	for _, cc := range in.Clear {
		if cc != ccSetCommandCodeAuditStatus {
			t.nv.AuditCommands = exclude(t.nv.AuditCommands, cc)
		}
	}
	return nil, nil
}

type readClockOut struct{ Now timeInfo }

// readClock is TPM2_ReadClock.
func (t *TPM) readClock(*none) (*readClockOut, error) { return &readClockOut{t.timeInfo()}, nil }

type clockSetIn struct {
	Auth handle `tpm:"provision,user"`
	New  uint64
}

// clockSet is TPM2_ClockSet: forward only.
func (t *TPM) clockSet(in *clockSetIn) (*none, error) {
	if in.New > 0xffff000000000000 || in.New < t.Clock {
		return nil, rcValue.param(1)
	}
	t.Clock = in.New
	t.saved = nil // time alone is no change to commit
	return nil, nil
}

type clockRateAdjustIn struct {
	Auth handle `tpm:"provision,user"`
	Rate clockAdjust
}

// clockAdjust is a TPM_CLOCK_ADJUST.
type clockAdjust uint8

func (v *clockAdjust) code(c *coder) {
	c.u8((*uint8)(v))
	c.require(int8(*v) >= -3 && int8(*v) <= 3, rcValue)
}

// clockRateAdjust is TPM2_ClockRateAdjust. The rate is that of the host's clock, which needs none of it.
func (t *TPM) clockRateAdjust(*clockRateAdjustIn) (*none, error) { return nil, nil }
