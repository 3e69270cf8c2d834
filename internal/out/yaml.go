package out

import "strings"

// yamlWriter rewrites JSON of one line as block-style YAML, so that both say the same: the JSON grammar of strings and
// numbers is also YAML's (YAML 1.2.2, section 1.3), only maps and lists are laid out anew. Strings keep their quotes: a
// bare yes or 0x10 would be read as something else by YAML 1.1 readers. A YAML library would be 7 % of the binary. The
// JSON is of our own making and valid.
type yamlWriter struct {
	in, out []byte
	at      int
}

func appendYAML(dst, object []byte) []byte {
	y := yamlWriter{in: object, out: dst}
	y.value(0, false)
	return y.out
}

// value writes the next JSON value. What comes before it on its line is there already, without a space behind a colon;
// inList says that a dash is, behind which a nested value may start on the same line.
func (y *yamlWriter) value(depth int, inList bool) {
	if c := y.in[y.at]; c == '{' || c == '[' {
		y.nested(c == '{', depth, inList)
		return
	}
	if depth > 0 && !inList {
		y.out = append(y.out, ' ')
	}
	y.out = append(append(y.out, y.scalar()...), '\n')
}

// scalar is the next string, number, true, false or null.
func (y *yamlWriter) scalar() []byte {
	start := y.at
	if y.in[start] == '"' {
		y.at = stringEnd(y.in, start)
	} else {
		for y.at < len(y.in) && strings.IndexByte(",]}", y.in[y.at]) < 0 {
			y.at++
		}
	}
	return y.in[start:y.at]
}

// nested writes the entries of a map or list, each on lines of its own.
func (y *yamlWriter) nested(isMap bool, depth int, inList bool) {
	y.at++
	if closing := y.in[y.at]; closing == '}' || closing == ']' {
		if depth > 0 && !inList {
			y.out = append(y.out, ' ')
		}
		y.out = append(y.out, closing-2, closing, '\n') // the brackets of a pair stand two apart in ASCII
		y.at++
		return
	}
	if depth > 0 && !inList {
		y.out = append(y.out, '\n')
	}
	for first := true; first || y.in[y.at-1] == ','; first = false {
		if !first || !inList {
			for range depth {
				y.out = append(y.out, ' ', ' ')
			}
		}
		if isMap {
			key := y.scalar()
			y.at++ // the colon
			y.out = append(appendKey(y.out, key[1:len(key)-1]), ':')
		} else {
			y.out = append(y.out, '-', ' ')
		}
		y.value(depth+1, !isMap)
		y.at++ // a comma, or the closing bracket
	}
}

// appendKey writes a key, escaped as in JSON, bare where no YAML reader takes it for anything but text: our keys are
// snake_case words.
func appendKey[T string | []byte](dst []byte, k T) []byte {
	bare := len(k) > 1 && k[0] >= 'a' && k[0] <= 'z'
	for i := range len(k) {
		bare = bare && (k[i] == '_' || k[i] >= 'a' && k[i] <= 'z' || k[i] >= '0' && k[i] <= '9')
	}
	switch string(k) {
	case "yes", "no", "on", "off", "true", "false", "null":
		bare = false
	}
	if bare {
		return append(dst, k...)
	}
	return append(append(append(dst, '"'), k...), '"')
}
