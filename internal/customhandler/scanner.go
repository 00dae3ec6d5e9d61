package customhandler

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of an invocation. The host merges a payload into
// Metadata only up to 64 levels (the limit of Json.NET).
const maxDepth = 128

// errTooLong says that a string or value exceeds the limit it was read with.
var errTooLong = errors.New("value is too long")

// A scanner reads one JSON text (RFC 8259) from front to back. What it skips
// costs no memory, what it keeps has a limit. Invalid UTF-8 is an error, where
// encoding/json would replace it.
type scanner struct {
	r      *bufio.Reader
	offset int64
	depth  int

	keeping bool
	kept    bytes.Buffer
	limit   int64 // of kept
}

func scannerOf(text []byte) *scanner { return newScanner(bytes.NewReader(text)) }

func newScanner(r io.Reader) *scanner {
	return &scanner{r: bufio.NewReaderSize(r, 16<<10)}
}

// object calls each for every key of the object that comes next; each must
// read the value.
func (s *scanner) object(each func(key string) error) error {
	if err := s.open('{', "an object"); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.more('}', first)
		if err != nil || !more {
			return err
		}
		key, err := s.key()
		if err != nil {
			return fmt.Errorf("read a key: %w", err)
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := each(key); err != nil {
			return err
		}
	}
}

// maxKey is longer than any key that is looked for, in bytes.
const maxKey = 1 << 10

// key reads the key that comes next, cut to maxKey: the host copies the names
// of a payload's fields into Metadata, however long they are.
func (s *scanner) key() (string, error) {
	var key []byte
	err := s.str(func(r rune) error {
		if len(key) < maxKey {
			key = utf8.AppendRune(key, r)
		}
		return nil
	})
	return string(key), err
}

// skip reads the next value and forgets it.
func (s *scanner) skip() error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	switch c {
	case '{':
		if err := s.open('{', "an object"); err != nil {
			return err
		}
		for first := true; ; first = false {
			more, err := s.more('}', first)
			if err != nil || !more {
				return err
			}
			if err := s.str(nil); err != nil {
				return err
			}
			if err := s.expect(':'); err != nil {
				return err
			}
			if err := s.skip(); err != nil {
				return err
			}
		}
	case '[':
		if err := s.open('[', "an array"); err != nil {
			return err
		}
		for first := true; ; first = false {
			more, err := s.more(']', first)
			if err != nil || !more {
				return err
			}
			if err := s.skip(); err != nil {
				return err
			}
		}
	case '"':
		return s.str(nil)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

// raw reads the next value as it is written, at most limit bytes of it.
func (s *scanner) raw(limit int64) (json.RawMessage, error) {
	if _, err := s.peek(); err != nil {
		return nil, err
	}
	s.kept.Reset()
	s.keeping, s.limit = true, limit
	err := s.skip()
	s.keeping = false
	if err != nil {
		return nil, err
	}
	return bytes.Clone(s.kept.Bytes()), nil
}

// text reads the string that comes next, decoded, at most limit bytes of it.
func (s *scanner) text(limit int64) ([]byte, error) {
	var text []byte
	err := s.str(func(r rune) error {
		if int64(len(text)+utf8.RuneLen(r)) > limit {
			return errTooLong
		}
		text = utf8.AppendRune(text, r)
		return nil
	})
	return text, err
}

// end checks that nothing follows.
func (s *scanner) end() error {
	_, err := s.peek()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	if err == nil {
		err = s.errorf("something follows the JSON value")
	}
	return err
}

// str reads a string and calls emit, when given, for each rune of it.
func (s *scanner) str(emit func(rune) error) error {
	if c, err := s.peek(); err != nil {
		return err
	} else if c != '"' {
		return s.errorf("want a string")
	}
	if _, err := s.next(); err != nil {
		return err
	}
	for {
		r, err := s.next()
		if err != nil {
			return err
		}
		switch {
		case r == '"':
			return nil
		case r < 0x20:
			return s.errorf("control character in a string")
		case r == '\\':
			if r, err = s.escape(emit != nil); err != nil {
				return err
			}
		}
		if emit == nil {
			continue
		}
		if err := emit(r); err != nil {
			return err
		}
	}
}

// escape reads what follows a backslash. Halves of surrogate pairs are only
// matched when the string is decoded.
func (s *scanner) escape(decode bool) (rune, error) {
	c, err := s.next()
	if err != nil {
		return 0, err
	}
	switch c {
	case '"', '\\', '/':
		return c, nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := s.hex4()
		if err != nil || !decode || !utf16.IsSurrogate(r) {
			return r, err
		}
		for _, want := range `\u` {
			if c, err := s.next(); err != nil {
				return 0, err
			} else if c != want {
				return 0, s.errorf("half a surrogate pair in a string")
			}
		}
		low, err := s.hex4()
		if err != nil {
			return 0, err
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return 0, s.errorf("half a surrogate pair in a string")
		}
		return r, nil
	}
	return 0, s.errorf("unknown escape in a string")
}

func (s *scanner) hex4() (rune, error) {
	var r rune
	for range 4 {
		c, err := s.next()
		if err != nil {
			return 0, err
		}
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, s.errorf("want four hexadecimal digits")
		}
		r = r<<4 | c
	}
	return r, nil
}
