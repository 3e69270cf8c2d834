//go:build interop

package cmd_test

import (
	"bytes"
	"fmt"
	"html"
	"image"
	"image/png"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/interop"
)

// browser runs a headless Chromium once, on a file, and returns its standard output. Whatever it asks of the network goes
// to a proxy that answers nothing and keeps the requests.
func browser(t *testing.T, path string, width int, args ...string) (stdout []byte, requests string) {
	t.Helper()
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var asked bytes.Buffer
	var lock sync.Mutex
	go func() {
		for {
			c, err := proxy.Accept()
			if err != nil {
				return
			}
			request, _ := io.ReadAll(io.LimitReader(c, 512))
			lock.Lock()
			asked.Write(request)
			lock.Unlock()
			_ = c.Close()
		}
	}()
	flags := []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--user-data-dir=" + t.TempDir(),
		"--proxy-server=" + proxy.Addr().String(), fmt.Sprintf("--window-size=%d,1600", width)}
	stdout, err = interop.Try(t, "chromium", append(append(flags, args...), "file://"+path)...)
	if err != nil {
		t.Fatal(err)
	}
	_ = proxy.Close()
	lock.Lock()
	defer lock.Unlock()
	return stdout, asked.String()
}

// A host nobody has, named by the markup that a hostile log holds.
const forgedHost = "forged.invalid"

func TestThePageOfABootInABrowser(t *testing.T) {
	interop.Need(t, "chromium")
	hostile := synth.Default()
	hostile.GRUBConfig = `</p><script src="http://` + forgedHost + `/x.js">document.title="forged"</script><img src=http://` + forgedHost + "/y>\n" +
		strings.Repeat("x", 3000) + "\n\x1b[31m\u202e"
	windows := synth.Default()
	windows.Windows.BitLocker, windows.SecureBoot = 0x40, false
	for name, c := range map[string]struct {
		log     []byte
		picture bool
		words   []string
	}{
		"Linux":           {synth.ShimGRUB(synth.Default()).Log, true, []string{"What this machine booted", "✓ on", "the initrd is /boot/initrd.img", "PCR 14"}},
		"Windows":         {synth.Windows(windows).Log, false, []string{"✗ off", "BitLocker was unlocked with the recovery key", "Worth a look"}},
		"a hostile GRUB":  {synth.ShimGRUB(hostile).Log, true, []string{"GRUB ran: &lt;/p&gt;&lt;script", `<span class="esc">\x1b</span>`}},
		"a firmware only": {synth.SeaBIOS(synth.Default()).Log, false, []string{"? not measured", "SeaBIOS"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "page.html")
			page := explainPage(t, c.log)
			if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
				t.Fatal(err)
			}
			dom, requests := browser(t, path, 1200, "--dump-dom")
			if strings.Contains(requests, forgedHost) || strings.Contains(string(dom), "<script") || strings.Contains(string(dom), "<img") {
				t.Errorf("the page runs or loads something: %s", requests)
			}
			for _, want := range c.words {
				if !strings.Contains(string(dom), want) {
					t.Errorf("the browser does not show %q", want)
				}
			}
			checkWidths(t, page, 1200, 400)
			if c.picture {
				checkPicture(t, path, 1200)
				checkPicture(t, path, 400)
			}
		})
	}
}

// checkWidths shows a page, with all that it folds away, in frames as wide as a desk's screen and a phone's: nothing may
// stick out. A frame, because a headless browser has no window as narrow as a phone.
func checkWidths(t *testing.T, page string, widths ...int) {
	t.Helper()
	page = strings.ReplaceAll(page, "<details>", "<details open>")
	policy := page[strings.Index(page, "<meta http-equiv"):strings.Index(page, "<meta name=\"viewport\"")]
	script := `<script>parent.document.title += document.documentElement.scrollWidth + " in " + innerWidth + ";"</script></body>`
	page = html.EscapeString(strings.Replace(strings.Replace(page, policy, "", 1), "</body>", script, 1))
	text, want := "<!doctype html><title></title>", ""
	for _, w := range widths {
		text += fmt.Sprintf(`<iframe width="%d" height="900" style="border:0" srcdoc="%s"></iframe>`, w, page)
		want += fmt.Sprintf("%d in %d;", w, w)
	}
	harness := filepath.Join(t.TempDir(), "harness.html")
	if err := os.WriteFile(harness, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	dom, _ := browser(t, harness, slices.Max(widths), "--dump-dom")
	_, title, _ := strings.Cut(string(dom), "<title>")
	title, _, _ = strings.Cut(title, "</title>")
	for _, w := range strings.SplitAfter(want, ";") { // in whichever order they were ready
		if !strings.Contains(title, w) {
			t.Errorf("the page is as wide as %q, want %q", title, want)
		}
	}
}

// checkPicture looks at what a browser paints: it must be as wide as asked for, and neither empty nor black. The picture
// is kept in VTPMCTL_TEST_PAGES, where that is set, for people to look at.
func checkPicture(t *testing.T, path string, width int) {
	t.Helper()
	shot := filepath.Join(t.TempDir(), "page.png")
	if dir := os.Getenv("VTPMCTL_TEST_PAGES"); dir != "" {
		shot = filepath.Join(dir, fmt.Sprintf("%s-%d.png", strings.ReplaceAll(filepath.Base(t.Name()), " ", "-"), width))
	}
	browser(t, path, width, "--screenshot="+shot)
	file, err := os.ReadFile(shot)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if inked := ink(picture); picture.Bounds().Dx() != width || inked < 0.01 || inked > 0.5 {
		t.Errorf("a picture of %v pixels, %.3f of it inked", picture.Bounds().Size(), inked)
	}
}

// ink is the share of pixels that are not of the colour of the first one.
func ink(picture image.Image) float64 {
	size, inked := picture.Bounds(), 0
	paper := picture.At(0, 0)
	for y := range size.Dy() {
		for x := range size.Dx() {
			if picture.At(x, y) != paper {
				inked++
			}
		}
	}
	return float64(inked) / float64(size.Dx()*size.Dy())
}
