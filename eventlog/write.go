package eventlog

import (
	"io"
	"iter"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Written are the formats that Write knows.
var Written = []Format{FormatAgile, FormatCELJSON, FormatCELCBOR, FormatCELTLV}

// Write renders the log in a format, event after event: a long log need not stand in memory twice. The digests stay as they
// are, so a replay of what was written gives the same. It fails with fail.Unsupported for a format that is not Written, and for
// an event that the format cannot hold.
func (l *Log) Write(to io.Writer, format Format) error {
	var records iter.Seq2[[]byte, error]
	switch format {
	case FormatAgile:
		records = l.agileRecords()
	case FormatCELJSON:
		records = l.celJSONRecords()
	case FormatCELCBOR:
		records = l.celCBORRecords()
	case FormatCELTLV:
		records = l.celTLVRecords()
	default:
		return fail.E(fail.Unsupported, "no log is written as %s", format)
	}
	for record, err := range records {
		if err == nil {
			_, err = to.Write(record)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
