package grub

import "strings"

// truth has a third value: what a file system knows and the script does not.
type truth int

const (
	no truth = iota
	yes
	maybe
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (t truth) not() truth { return [...]truth{yes, no, maybe}[t] }

func (t truth) and(u truth) truth {
	switch {
	case t == no || u == no:
		return no
	case t == yes && u == yes:
		return yes
	}
	return maybe
}

func (t truth) or(u truth) truth { return t.not().and(u.not()).not() }

// condition is test, and [.
func condition(_ *run, args []string, _ *block, said *call) (status, error) {
	if n := len(args); n > 0 && args[n-1] == "]" {
		args = args[:n-1]
	}
	t, _ := judge(args, 0)
	if t == maybe {
		return status{line: said.line, text: said.text()}, nil
	}
	return verdict(t == yes), nil
}

// comparisons are those of two texts.
var comparisons = map[string]func(a, b string) truth{
	"=":   func(a, b string) truth { return truthOf(a == b) },
	"==":  func(a, b string) truth { return truthOf(a == b) },
	"!=":  func(a, b string) truth { return truthOf(a != b) },
	"<":   func(a, b string) truth { return truthOf(a < b) },
	"<=":  func(a, b string) truth { return truthOf(a <= b) },
	">":   func(a, b string) truth { return truthOf(a > b) },
	">=":  func(a, b string) truth { return truthOf(a >= b) },
	"-eq": func(a, b string) truth { return truthOf(number(a) == number(b)) },
	"-ne": func(a, b string) truth { return truthOf(number(a) != number(b)) },
	"-ge": func(a, b string) truth { return truthOf(number(a) >= number(b)) },
	"-gt": func(a, b string) truth { return truthOf(number(a) > number(b)) },
	"-le": func(a, b string) truth { return truthOf(number(a) <= number(b)) },
	"-lt": func(a, b string) truth { return truthOf(number(a) < number(b)) },
}

// judge goes through an expression as GRUB does (grub-core/commands/test.c): without precedence, -a being nothing. It
// returns how many words it took.
func judge(args []string, depth int) (truth, int) {
	either, both, inverted := no, yes, false
	update := func(t truth) {
		if inverted {
			t = t.not()
		}
		both, inverted = both.and(t), false
	}
	i := 0
	for i < len(args) {
		if i+2 < len(args) {
			if compare, ok := comparisons[args[i+1]]; ok {
				update(compare(args[i], args[i+2]))
				i += 3
				continue
			}
			op := args[i+1]
			if op == "-pgt" || op == "-plt" || strings.HasPrefix(op, "-nt") || strings.HasPrefix(op, "-ot") {
				update(maybe)
				i += 3
				continue
			}
		}
		if i+1 < len(args) {
			known := true
			switch args[i] {
			case "-d", "-e", "-f", "-s":
				update(maybe)
			case "-n":
				update(truthOf(args[i+1] != ""))
			case "-z":
				update(truthOf(args[i+1] == ""))
			default:
				known = false
			}
			if known {
				i += 2
				continue
			}
		}
		switch word := args[i]; word {
		case ")":
			return either.or(both), i + 1
		case "(":
			if depth > maxDepth {
				return maybe, len(args)
			}
			t, n := judge(args[i+1:], depth+1)
			update(t)
			i += n
		case "!":
			inverted = !inverted
		case "-a":
		case "-o":
			either, both = either.or(both), yes
		default:
			update(truthOf(word != ""))
		}
		i++
	}
	return either.or(both), i
}
