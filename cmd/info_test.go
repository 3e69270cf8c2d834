package cmd

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/host"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// TestInfoFieldsOnlyGrow holds the names that scripts read.
func TestInfoFieldsOnlyGrow(t *testing.T) {
	text, err := json.Marshal(infoDoc{[]host.Platform{}, &tpm.Capabilities{}})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	want := "algorithms banks commands curves firmware_version handles limits lockout manufacturer platforms properties refused " +
		"spec state vendor_commands vendor_string"
	if got := strings.Join(slices.Sorted(maps.Keys(fields)), " "); got != want {
		t.Errorf("fields %s\nwant   %s", got, want)
	}
}
