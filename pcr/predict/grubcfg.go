package predict

import (
	"fmt"
	"slices"
	"strings"
)

// maxConfig bounds the lines of a configuration that is compared.
const maxConfig = 2000

// compareConfigs finds out how the commands that GRUB measures change with its configuration. A command is a line, or the
// head of a menu entry and the block in braces that follows. Where commands were added or left out that were run, nobody
// can tell without running GRUB: then why says so.
func compareConfigs(past, next string, run []string) (edit func(string) string, why string) {
	a, b := strings.Split(past, "\n"), strings.Split(next, "\n")
	if len(a) > maxConfig || len(b) > maxConfig {
		return nil, "grub.cfg has too many lines to be compared"
	}
	lines := make(map[string]string)
	blocks := blockPairs(a, b)
	for _, h := range hunks(a, b) {
		if why = h.pair(lines, run, a, b); why != "" {
			return nil, why
		}
	}
	return func(command string) string {
		if next, ok := lines[command]; ok {
			return next
		}
		for _, pair := range blocks {
			if head, ok := strings.CutSuffix(command, pair[0]); ok {
				return head + pair[1]
			}
		}
		return command
	}, ""
}

// hunk is a run of lines that differ: a[from:to] became b[start:end].
type hunk struct{ from, to, start, end int }

// hunks compares line by line, by the longest common subsequence of what lies between equal beginnings and ends.
func hunks(a, b []string) []hunk {
	head, tail := 0, 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	all := differing(a[head:len(a)-tail], b[head:len(b)-tail])
	for i := range all {
		h := &all[i]
		h.from, h.to, h.start, h.end = h.from+head, h.to+head, h.start+head, h.end+head
	}
	return all
}

func differing(a, b []string) (all []hunk) {
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		if i < len(a) && j < len(b) && a[i] == b[j] {
			i, j = i+1, j+1
			continue
		}
		h := hunk{from: i, start: j}
		for i < len(a) || j < len(b) {
			if i < len(a) && j < len(b) && a[i] == b[j] {
				break
			}
			if j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1] {
				i++
			} else {
				j++
			}
		}
		h.to, h.end = i, j
		all = append(all, h)
	}
	return all
}

// pair puts new lines in the place of old ones. Lines may come and go only where they are not run: in a comment, or in a
// block of which no line was.
func (h hunk) pair(lines map[string]string, run, a, b []string) (why string) {
	old, next := commandLines(a[h.from:h.to]), commandLines(b[h.start:h.end])
	if len(old) == len(next) {
		for i := range old {
			lines[old[i]] = next[i]
		}
		return ""
	}
	wasRun := slices.ContainsFunc(old, func(l string) bool { return slices.Contains(run, l) })
	if wasRun || !insideIdleBlock(a, h.from, run) {
		return fmt.Sprintf("grub.cfg has other commands at line %d, not only changed ones: what GRUB will run cannot be foreseen", h.start+1)
	}
	return ""
}

// commandLines leaves out blank lines, comments and braces.
func commandLines(lines []string) (commands []string) {
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" && l != "}" && !strings.HasPrefix(l, "#") {
			commands = append(commands, l)
		}
	}
	return commands
}

// insideIdleBlock tells whether line at lies in a block that was not run.
func insideIdleBlock(lines []string, at int, run []string) bool {
	from, to, ok := enclosing(lines, at)
	return ok && !slices.ContainsFunc(commandLines(lines[from+1:to]), func(l string) bool { return slices.Contains(run, l) })
}

// enclosing finds the outermost block that line at lies in: the line that opens it, and the one that closes it.
func enclosing(lines []string, at int) (from, to int, ok bool) {
	depth := 0
	for i, l := range lines {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "}") && depth > 0 {
			if depth--; depth == 0 && at > from && at <= i {
				return from, i, true
			}
		}
		if strings.HasSuffix(l, "{") {
			if depth == 0 {
				from = i
			}
			depth++
		}
	}
	return 0, 0, false
}

// blockPairs are the blocks in braces that have the same head in both configurations, as GRUB measures them: as they stand
// there, from brace to brace.
func blockPairs(a, b []string) (pairs [][2]string) {
	next := make(map[string]string)
	for head, block := range blocksOf(b) {
		next[head] = block
	}
	for head, block := range blocksOf(a) {
		if to, ok := next[head]; ok && to != block {
			pairs = append(pairs, [2]string{block, to})
		}
	}
	return pairs
}

// blocksOf yields every outermost block by its head.
func blocksOf(lines []string) func(yield func(head, block string) bool) {
	return func(yield func(string, string) bool) {
		for i := 0; i < len(lines); i++ {
			l := strings.TrimSpace(lines[i])
			if !strings.HasSuffix(l, "{") {
				continue
			}
			_, to, ok := enclosing(lines, i+1)
			if !ok || to <= i {
				continue
			}
			if !yield(l, strings.Join(slices.Concat([]string{"{"}, lines[i+1:to], []string{lines[to]}), "\n")) {
				return
			}
			i = to
		}
	}
}
