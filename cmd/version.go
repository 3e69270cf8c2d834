package cmd

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/vtpmctl/vtpmctl/internal/out"
)

// The release build (packaging/build) sets these by -ldflags -X.
var release, commit string

type versionDoc struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func (versionDoc) Schema() string { return "vtpmctl.version/v1" }

func (d versionDoc) Table(t *out.Table) { t.Text("vtpmctl %s", version()) }

func buildVersion() versionDoc {
	d := versionDoc{Version: release, Commit: commit, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return d
	}
	if d.Version == "" {
		d.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && d.Commit == "" {
			d.Commit = s.Value
		}
	}
	return d
}

func version() string {
	d := buildVersion()
	if d.Commit != "" {
		d.Version += " " + d.Commit[:min(12, len(d.Commit))]
	}
	return fmt.Sprintf("%s %s %s/%s", d.Version, d.Go, d.OS, d.Arch)
}

func (a *app) versionCommand() *cobra.Command {
	return a.command(verb{
		use:     "version",
		short:   "print version, commit and platform",
		example: "vtpmctl version -o json",
		run:     func(context.Context, []string) (out.Doc, error) { return buildVersion(), nil },
	})
}
