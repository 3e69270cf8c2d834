package fail_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

func TestEveryKindHasOneRowAndNoneExitsWithTwo(t *testing.T) {
	seen := map[fail.Kind]bool{}
	last := 0
	for _, row := range fail.Table() {
		if seen[row.Kind] {
			t.Errorf("%s stands twice in the table", row.Kind)
		}
		seen[row.Kind] = true
		if row.Exit == 0 || row.Exit == 2 || row.Exit < last || row.Exit > 130 {
			t.Errorf("%s: exit status %d after %d", row.Kind, row.Exit, last)
		}
		if row.Meaning == "" || row.Kind.Exit() != row.Exit {
			t.Errorf("%s: meaning %q, Exit %d", row.Kind, row.Meaning, row.Kind.Exit())
		}
		last = row.Exit
	}
	if fail.Kind("unheard_of").Exit() != 1 {
		t.Error("an unknown kind must count as failed")
	}
}

func TestKindOfFindsTheOutermostClass(t *testing.T) {
	inner := fail.E(fail.Lockout, "locked").Hint("wait")
	for name, c := range map[string]struct {
		err  error
		want fail.Kind
	}{
		"nil":             {nil, ""},
		"plain":           {errors.New("x"), fail.Failed},
		"own":             {inner, fail.Lockout},
		"wrapped":         {fmt.Errorf("unseal: %w", inner), fail.Lockout},
		"outermost wins":  {fail.E(fail.WrongTPM, "moved: %w", inner), fail.WrongTPM},
		"cancelled":       {fmt.Errorf("x: %w", context.Canceled), fail.Interrupted},
		"out of time":     {context.DeadlineExceeded, fail.Timeout},
		"no such file":    {&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, fail.MissingInput},
		"not permitted":   {&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, fail.Permission},
		"file is already": {fs.ErrExist, fail.OutputExists},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fail.KindOf(c.err); got != c.want {
				t.Errorf("KindOf(%v) = %q, want %q", c.err, got, c.want)
			}
		})
	}
}

func TestHintsOfCollectsFromTheWholeTree(t *testing.T) {
	err := fmt.Errorf("a: %w", fail.E(fail.WrongTPM, "b: %w", fail.E(fail.Lockout, "c").Hint("second")).Hint("first %d", 1).
		Because(fail.E(fail.Failed, "d").Hint("third")))
	if got, want := fail.HintsOf(err), []string{"first 1", "second", "third"}; !slices.Equal(got, want) {
		t.Errorf("HintsOf = %q, want %q", got, want)
	}
	if err.Error() != "a: b: c" {
		t.Errorf("text = %q: a cause is told on a line of its own", err)
	}
}
