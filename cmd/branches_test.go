package cmd

import "testing"

func TestEveryBranchIsMadeUnderItsName(t *testing.T) {
	a := &app{Env: System()}
	for _, b := range a.branches() {
		if got := b.make().Name(); got != b.name {
			t.Errorf("the branch %s makes the command %s", b.name, got)
		}
	}
}
