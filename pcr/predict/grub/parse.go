package grub

import (
	"slices"
	"strings"
)

// The language is that of GRUB's manual, "Shell-like scripting"; where the manual is silent, that of its grammar
// (grub-core/script/parser.y) and its lexer (yylex.l).

// The limits on a script: a grub.cfg has some hundred lines, three levels deep.
const (
	maxText  = 1 << 20
	maxDepth = 60 // GRUB's own is 64
)

// Script is a configuration of GRUB's that was read.
type Script struct {
	body []node
}

// node is a *command, *conditional, *loop, *forEach or *function.
type node any

type (
	command struct {
		words []word
		block *block
		line  int
	}
	conditional struct{ cond, then, otherwise []node }
	loop        struct {
		until      bool
		cond, body []node
	}
	forEach struct {
		name  string
		words []word
		body  []node
		line  int
	}
	function struct {
		name string
		body []node
	}
	// block is the argument in braces of a menu entry. GRUB keeps its text, measures that, and reads it again when the entry
	// is chosen.
	block struct {
		text  string
		lines []int // the line of the file that each line of text is
	}
)

// word is an argument before expansion.
type word []piece

type piece struct {
	kind pieceKind
	text string // of a variable, its name
}

type pieceKind int

const (
	bare pieceKind = iota
	quoted
	variable
	quotedVariable
	translated // $"…"
)

// token is a word, a newline, one of ";{}", the end or something that no statement has.
type token struct {
	kind  byte
	raw   string // of a word
	words word
	at    int
}

const (
	endOfText = 0
	wordToken = 'w'
)

var reserved = []string{"case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "select", "then", "until", "while", "function"}

// Parse reads a configuration file. What GRUB would refuse is refused.
func Parse(text []byte) (*Script, error) {
	if len(text) > maxText {
		return nil, stop{0, "the file is too large for a configuration"}
	}
	var clean strings.Builder
	var lines []int
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if strings.HasPrefix(line, "#") { // GRUB drops these as it reads, even inside a block or a quotation
			continue
		}
		lines = append(lines, number)
		clean.WriteString(strings.ReplaceAll(line, "\r", ""))
	}
	return parse(clean.String(), lines)
}

func parse(text string, lines []int) (*Script, error) {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	p := &parser{text: text, lines: lines}
	p.next()
	s := &Script{}
	for p.newlines(); p.tok.kind != endOfText && p.err == nil; p.newlines() {
		if p.keyword("function") {
			s.body = append(s.body, p.function())
		} else {
			s.body = append(s.body, p.command())
		}
		if !p.accept(';') && p.tok.kind != '\n' {
			p.fail("a command has to end here")
		}
	}
	return s, p.err
}

type parser struct {
	text  string
	pos   int
	lines []int
	row   int // the lines that end before counted
	upTo  int
	tok   token
	depth int
	err   error
}

// line is the line of the file that the token is on.
func (p *parser) line() int {
	if p.tok.at > p.upTo {
		p.row += strings.Count(p.text[p.upTo:p.tok.at], "\n")
		p.upTo = p.tok.at
	}
	if len(p.lines) == 0 {
		return 0
	}
	return p.lines[min(p.row, len(p.lines)-1)]
}

// fail ends the parsing.
func (p *parser) fail(why string) {
	if p.err == nil {
		p.err = stop{p.line(), why}
	}
	p.tok = token{at: p.tok.at}
	p.pos = len(p.text)
}

func (p *parser) keyword(name string) bool { return p.tok.kind == wordToken && p.tok.raw == name }

func (p *parser) accept(kind byte) bool {
	if p.tok.kind != kind {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(name string) {
	if !p.keyword(name) {
		p.fail(name + " is missing")
		return
	}
	p.next()
}

func (p *parser) newlines() {
	for p.tok.kind == '\n' {
		p.next()
	}
}

// name takes the name of a function or of the variable of a for.
func (p *parser) name() string {
	name := p.tok.raw
	if p.tok.kind != wordToken || slices.Contains(reserved, name) || nameLength(name) != len(name) {
		p.fail("a name is missing")
		return ""
	}
	p.next()
	return name
}

// list takes commands up to one of the words, or up to the brace if there are none. It leaves that.
func (p *parser) list(ends ...string) []node {
	if p.depth++; p.depth > maxDepth {
		p.fail("the blocks are too deep")
	}
	defer func() { p.depth-- }()
	var all []node
	for p.newlines(); p.err == nil; {
		all = append(all, p.command())
		delimited := p.tok.kind == '\n' || p.tok.kind == ';'
		if p.tok.kind == ';' {
			p.next()
		}
		p.newlines()
		switch {
		case len(ends) == 0 && p.tok.kind == '}', delimited && slices.ContainsFunc(ends, p.keyword):
			return all
		case !delimited:
			p.fail("a command has to end here")
		case p.tok.kind == endOfText:
			p.fail("the end of the file is not the end of a command")
		}
	}
	return all
}

func (p *parser) command() node {
	if p.tok.kind != wordToken {
		p.fail("there is no command here")
		return &command{}
	}
	switch line := p.line(); p.tok.raw {
	case "if":
		p.next()
		c := p.conditional()
		p.expect("fi")
		return c
	case "while", "until":
		l := &loop{until: p.tok.raw == "until"}
		p.next()
		l.cond = p.list("do")
		l.body = p.loopBody()
		return l
	case "for":
		p.next()
		f := &forEach{name: p.name(), line: line}
		p.expect("in")
		for p.tok.kind == wordToken {
			f.words = append(f.words, p.tok.words)
			p.next()
		}
		if !p.accept(';') && p.tok.kind != '\n' {
			p.fail("the words of a for have to end here")
		}
		p.newlines()
		f.body = p.loopBody()
		return f
	default:
		if slices.Contains(reserved, p.tok.raw) {
			p.fail(p.tok.raw + " does not belong here")
		}
		return p.simple(line)
	}
}

// loopBody takes the commands between do and done.
func (p *parser) loopBody() []node {
	p.expect("do")
	body := p.list("done")
	p.expect("done")
	return body
}

func (p *parser) conditional() *conditional {
	c := &conditional{cond: p.list("then")}
	p.expect("then")
	c.then = p.list("else", "elif", "fi")
	switch {
	case p.keyword("else"):
		p.next()
		c.otherwise = p.list("fi")
	case p.keyword("elif"):
		p.next()
		if p.depth++; p.depth > maxDepth {
			p.fail("there are too many conditions")
		}
		c.otherwise = []node{p.conditional()}
		p.depth--
	}
	return c
}

func (p *parser) simple(line int) *command {
	c := &command{line: line}
	for p.tok.kind == wordToken {
		c.words = append(c.words, p.tok.words)
		p.next()
	}
	if p.tok.kind != '{' {
		return c
	}
	p.line()
	row, from := p.row, p.pos // the text begins behind the brace
	p.next()
	p.list()
	if p.tok.kind != '}' {
		p.fail("the brace is not closed")
		return c
	}
	c.block = &block{text: p.text[from:p.tok.at]}
	if row < len(p.lines) {
		c.block.lines = p.lines[row:]
	}
	p.next()
	return c
}

func (p *parser) function() *function {
	p.next()
	f := &function{name: p.name()}
	p.newlines()
	if !p.accept('{') {
		p.fail("a function has a body in braces")
	}
	f.body = p.list()
	if !p.accept('}') {
		p.fail("the brace is not closed")
	}
	return f
}

// next takes the next token.
func (p *parser) next() {
	for p.pos < len(p.text) && (p.text[p.pos] == ' ' || p.text[p.pos] == '\t') {
		p.pos++
	}
	if p.pos < len(p.text) && p.text[p.pos] == '#' {
		p.pos += strings.IndexByte(p.text[p.pos:], '\n')
	}
	p.tok = token{at: p.pos}
	if p.pos == len(p.text) {
		return
	}
	switch c := p.text[p.pos]; c {
	case '\n', '{', '}', ';':
		p.tok.kind = c
		p.pos++
	case '|', '&', '<', '>':
		p.fail("GRUB's language has no " + string(c))
	default:
		p.word()
	}
}

// word takes a word apart as GRUB does.
func (p *parser) word() {
	p.tok.kind, p.tok.words = wordToken, word{}
	for from := p.pos; ; {
		rest := p.text[p.pos:]
		if n := strings.IndexAny(rest, "{}|&$;<> \t\n'\"\\"); n > 0 {
			p.put(bare, rest[:n], n)
			continue
		}
		if rest == "" { // the last newline was escaped
			p.tok.raw = p.text[from:]
			return
		}
		switch rest[0] {
		case '\\':
			p.escape(rest)
		case '\'':
			if end := strings.IndexByte(rest[1:], '\''); end >= 0 {
				p.put(quoted, rest[1:1+end], end+2)
			} else {
				p.fail("the quotation does not end")
			}
		case '"':
			p.pos++
			p.quotation(quoted)
		case '$':
			if strings.HasPrefix(rest, `$"`) {
				p.pos += 2
				p.quotation(translated)
			} else {
				p.variable(variable)
			}
		default:
			p.tok.raw = p.text[from:p.pos]
			return
		}
		if p.err != nil {
			return
		}
	}
}

func (p *parser) put(kind pieceKind, text string, length int) {
	p.tok.words = append(p.tok.words, piece{kind, text})
	p.pos += length
}

// escape takes a backslash and what follows. GRUB keeps escaped text apart until it has looked for wildcards.
func (p *parser) escape(rest string) {
	switch {
	case len(rest) < 2:
		p.fail("there is nothing after the backslash")
	case rest[1] == '\n':
		p.put(bare, "", 2)
	case rest[1] == 'x':
		p.fail(`\x is read in other ways by other versions of GRUB`)
	default:
		p.put(quoted, rest[1:2], 2)
	}
}

// quotation takes the rest of "…".
func (p *parser) quotation(kind pieceKind) {
	p.put(kind, "", 0)
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			p.put(kind, text.String(), 0)
			text.Reset()
		}
	}
	for p.err == nil {
		rest := p.text[p.pos:]
		if len(rest) < 2 {
			p.fail("the quotation does not end")
			return
		}
		switch {
		case rest[0] == '"':
			flush()
			p.pos++
			return
		case rest[0] == '\\' && rest[1] == '\n':
			p.pos += 2
		case rest[0] == '\\' && strings.IndexByte(`$\"`, rest[1]) >= 0:
			text.WriteByte(rest[1])
			p.pos += 2
		case rest[0] == '$':
			flush()
			p.variable(quotedVariable)
		default:
			text.WriteByte(rest[0])
			p.pos++
		}
	}
}

// variable takes $name, ${name}, $1 or $?.
func (p *parser) variable(kind pieceKind) {
	rest := p.text[p.pos+1:]
	if inner, ok := strings.CutPrefix(rest, "{"); ok {
		name, _, closed := strings.Cut(inner, "}")
		if closed && name != "" && variableLength(name) == len(name) {
			p.put(kind, name, len(name)+3)
			return
		}
	} else if n := variableLength(rest); n > 0 {
		p.put(kind, rest[:n], n+1)
		return
	}
	p.fail("there is no name after $")
}

func variableLength(s string) int {
	if s != "" && strings.IndexByte("?#*@", s[0]) >= 0 {
		return 1
	}
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	return max(digits, nameLength(s))
}

func nameLength(s string) int {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}
