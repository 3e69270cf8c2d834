package rival

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Circumstances says in two lines what was measured, where and when.
func Circumstances(rounds int, others ...string) string {
	cpu := ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, cpu, _ = strings.Cut(string(text), "model name\t: ")
		cpu, _, _ = strings.Cut(cpu, "\n")
	}
	swtpm, _, _ := strings.Cut(strings.TrimPrefix(firstLine("swtpm", "--version"), "TPM emulator version "), ",")
	busy, _, _ := strings.Cut(firstLine("cat", "/proc/loadavg"), " ")
	with := strings.Join(append([]string{"swtpm " + swtpm}, others...), ", ")
	return fmt.Sprintf("%s, medians of %d rounds. vtpmctl of %s, %s.\n%s, %d threads, load %s, %s.\n",
		time.Now().UTC().Format(time.DateOnly), rounds, runtime.Version(), with, cpu, runtime.NumCPU(), busy, firstLine("uname", "-sr"))
}

// ToolsVersion is that of the tpm2-tools that are installed.
func ToolsVersion() string {
	for field := range strings.SplitSeq(firstLine("tpm2_pcrread", "--version"), " ") {
		if v, ok := strings.CutPrefix(field, "version="); ok {
			return "tpm2-tools " + strings.Trim(v, `"`)
		}
	}
	return "tpm2-tools"
}

func firstLine(name string, args ...string) string {
	text, _ := exec.Command(name, args...).Output()
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// Root is the folder of the sources.
func Root() (string, error) {
	text, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	return strings.TrimSpace(string(text)), err
}

const module = "github.com/vtpmctl/vtpmctl"

// Build makes the vtpmctl binary as it is released and returns its path in dir.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "vtpmctl")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, module)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, text)
	}
	return binary, nil
}

// Median is the middle one of measurements, which it sorts.
func Median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// cpuTime is what all threads of a process have used, from the scheduler's own books: those of times(2) are too coarse.
func cpuTime(pid int) (total time.Duration) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, t := range threads {
		text, err := os.ReadFile(t)
		var ns time.Duration
		if _, scan := fmt.Sscan(string(text), &ns); err == nil && scan == nil {
			total += ns
		}
	}
	return total
}
