package eventlog

// Left is something that may tell of a machine or its owner, and that Anonymise leaves.
type Left struct {
	What   string `json:"what"`
	Events int    `json:"events"` // that have it
	Why    string `json:"why"`
}

// Left lists what Anonymise leaves in the log, so that whoever shares it knows where to look.
func (l *Log) Left() []Left {
	left := []Left{}
	places := make(map[string]int)
	for i := range l.Events {
		decoded, _ := l.Events[i].Decode()
		what, why := remains(decoded)
		if what == "" {
			continue
		}
		if _, seen := places[what]; !seen {
			places[what] = len(left)
			left = append(left, Left{What: what, Why: why})
		}
		left[places[what]].Events++
	}
	return left
}

// remains says what one event may still tell. Keys of Secure Boot, versions of firmware and paths of its own programs are those
// of every machine of a kind.
func remains(decoded Decoded) (what, why string) {
	const shared = "a log is shared for them"
	switch d := decoded.(type) {
	case *Variable:
		switch {
		case d.Signatures != nil || d.Authority != nil:
			return "names of certificates", shared
		case d.Option != nil:
			return "descriptions of boot options", "they are those of a loader as a rule"
		case d.Text != "" || d.Data != nil:
			return "contents of other variables", "nobody here knows what they mean"
		}
	case *IMA:
		return "names of files that the kernel measured", "it hashes them anew for each bank, and a replay has to"
	case *ImageLoad:
		return "paths of programs", shared
	case *Windows:
		return "paths and publishers of Windows' modules", shared
	case *SPDM:
		return "measurements of devices", shared
	case *Loader, *Tagged, *Systemd, *COS, Text:
		return "words of commands, programs and files", "in free text only what has the shape of an identifier is known"
	case Opaque:
		if d.Size > 0 {
			return "data that does not decode", "nobody here knows what it means"
		}
	}
	return "", ""
}
