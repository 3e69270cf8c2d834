package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
)

// explainPage writes the page of a log, "" where the log cannot be read.
func explainPage(t *testing.T, log []byte, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.html")
	_, stderr, status := runOn(log, append([]string{"eventlog", "explain", "-", "--html", path}, args...)...)
	if _, err := eventlog.Parse(log); err != nil {
		if status == 0 {
			t.Errorf("a page of nothing: %s", stderr)
		}
		return ""
	}
	page, err := os.ReadFile(path)
	if status != 0 || err != nil {
		t.Fatalf("status %d, %v: %s", status, err, stderr)
	}
	return string(page)
}

// The only markup a page has: these elements, and attributes whose values are our own words and numbers.
var (
	pageTag = regexp.MustCompile(`^</?(html|head|meta|title|style|body|header|main|footer|section|div|h1|h2|h3|p|dl|dt|dd|ol|ul|li|` +
		`details|summary|svg|rect|a|b|code|span)( [a-zA-Z-]+="[A-Za-z0-9 #.,:;'=/-]*")*>`)
	pageText = regexp.MustCompile(`^(&#(34|38|39|60|62);|[^<>&"'])+`)
)

// checkMarkup reads a page as strictly as nobody else does: elements must nest, and what is not a tag must be text.
func checkMarkup(t *testing.T, name, page string) {
	t.Helper()
	page = strings.TrimPrefix(page, "<!doctype html>")
	start, end := strings.Index(page, "<style>")+len("<style>"), strings.Index(page, "</style>")
	page = page[:start] + page[end:] // ours, and the same on each page
	var open []string
	for page != "" {
		if tag := pageTag.FindStringSubmatch(page); tag != nil {
			switch {
			case tag[1] == "meta":
			case page[1] != '/':
				open = append(open, tag[1])
			case len(open) == 0 || open[len(open)-1] != tag[1]:
				t.Fatalf("%s: </%s> closes %v", name, tag[1], open)
			default:
				open = open[:len(open)-1]
			}
			page = page[len(tag[0]):]
			continue
		}
		text := pageText.FindString(page)
		if text == "" {
			t.Fatalf("%s: neither tag nor text: %.200q", name, page)
		}
		page = page[len(text):]
	}
	if len(open) > 0 {
		t.Errorf("%s: %v stay open", name, open)
	}
}

func TestHostileLogsCannotForgeAPage(t *testing.T) {
	pages := 0
	for _, c := range synth.Hostile() {
		if len(c.Data) > 64<<10 {
			continue
		}
		page := explainPage(t, c.Data)
		if page == "" {
			continue
		}
		pages++
		checkMarkup(t, c.Name, page)
		if strings.ContainsFunc(page, dangerous) {
			t.Errorf("%s: the page holds what a terminal or a browser acts on", c.Name)
		}
	}
	if pages < 100 {
		t.Errorf("%d pages", pages)
	}
}

func TestThePageTellsWhatBootedAndHowFarThatIsProven(t *testing.T) {
	machine := synth.Default()
	machine.SecureBoot = false
	page := explainPage(t, synth.ShimGRUB(machine).Log)
	checkMarkup(t, "shim and GRUB", page)
	for _, want := range []string{
		`<b class="bad">✗ off</b>`, "shim → grub → Linux EFI stub", "<h2>Worth a look</h2>", "<h2>Timeline</h2>", `id="pcr-14"`, `href="#pcr-7"`,
		`<span class="tag bound">● bound</span>`, `<span class="tag named">○ named</span>`, `root=UUID=6f2c1d0e`,
		`a program was started: \EFI\debian\grubx64.efi`, "an update of GRUB", `<rect class="named"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	log, err := eventlog.Parse(synth.ShimGRUB(machine).Log)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range log.Replay().Banks {
		for _, p := range b.PCRs {
			if !strings.Contains(page, p.Value.String()) {
				t.Errorf("the page lacks the value of %s:%d", b.Alg, p.Index)
			}
		}
	}
	if only := explainPage(t, synth.ShimGRUB(machine).Log, "--pcr", "7"); strings.Contains(only, `id="pcr-14"`) || !strings.Contains(only, `id="pcr-7"`) {
		t.Error("--pcr 7 does not choose")
	}
}

func TestAPageOfALongLogStaysSmall(t *testing.T) {
	b := synth.Agile(eventlog.SHA256)
	for range 20000 {
		b.Data(8, eventlog.EVIPL, []byte("grub_cmd: set x=y\x00"))
	}
	if page := explainPage(t, b.Recording().Log); len(page) > 512<<10 {
		t.Errorf("a page of %d bytes", len(page))
	}
}
