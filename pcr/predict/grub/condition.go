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

// compare is a test of two texts; false if the operator is none.
func compare(a, op, b string) (t, ok bool) {
	switch op {
	case "=", "==":
		return a == b, true
	case "!=":
		return a != b, true
	case "<":
		return a < b, true
	case "<=":
		return a <= b, true
	case ">":
		return a > b, true
	case ">=":
		return a >= b, true
	case "-eq":
		return number(a) == number(b), true
	case "-ne":
		return number(a) != number(b), true
	case "-lt":
		return number(a) < number(b), true
	case "-le":
		return number(a) <= number(b), true
	case "-gt":
		return number(a) > number(b), true
	case "-ge":
		return number(a) >= number(b), true
	case "-pgt", "-plt":
		one, two := numbers(a, b)
		return op == "-pgt" && one > two || op == "-plt" && one < two, true
	}
	return false, false
}

// numbers are what two texts have behind what they have in common: vmlinuz-2 is before vmlinuz-11.
func numbers(a, b string) (one, two int) {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	for i > 1 && a[i-1] >= '0' && a[i-1] <= '9' {
		i--
	}
	return number(a[i:]), number(b[i:])
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
			op := args[i+1]
			if t, ok := compare(args[i], op, args[i+2]); ok {
				update(truthOf(t))
				i += 3
				continue
			}
			if strings.HasPrefix(op, "-nt") || strings.HasPrefix(op, "-ot") {
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
