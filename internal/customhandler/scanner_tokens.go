package customhandler

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

func (s *scanner) open(bracket byte, what string) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c != bracket {
		return s.errorf("want %s", what)
	}
	if s.depth++; s.depth > maxDepth {
		return s.errorf("nested deeper than %d", maxDepth)
	}
	_, err = s.next()
	return err
}

// more reports whether another element comes, having read the comma before it
// or the closing bracket.
func (s *scanner) more(closing byte, first bool) (bool, error) {
	c, err := s.peek()
	switch {
	case err != nil:
		return false, err
	case c == closing:
		s.depth--
		_, err := s.next()
		return false, err
	case first:
		return true, nil
	case c != ',':
		return false, s.errorf("want a comma or %q", closing)
	}
	_, err = s.next()
	return true, err
}

func (s *scanner) expect(want byte) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c != want {
		return s.errorf("want %q", want)
	}
	_, err = s.next()
	return err
}

func (s *scanner) literal(word string) error {
	for _, want := range word {
		if c, err := s.next(); err != nil {
			return err
		} else if c != want {
			return s.errorf("want %s", word)
		}
	}
	return nil
}

func (s *scanner) number() error {
	c, err := s.digit()
	if c == '-' && err == nil {
		s.next()
		c, err = s.digit()
	}
	if err != nil {
		return err
	}
	if c == '0' {
		s.next()
	} else if err := s.digits(); err != nil {
		return err
	}
	if c, err = s.digit(); err == nil && c == '.' {
		s.next()
		if err := s.digits(); err != nil {
			return err
		}
		c, err = s.digit()
	}
	if err == nil && (c == 'e' || c == 'E') {
		s.next()
		if c, err = s.digit(); err == nil && (c == '+' || c == '-') {
			s.next()
		}
		return s.digits()
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // a number may end the text
	}
	return err
}

// digit is the next byte, unread. Unlike peek it skips no white space.
func (s *scanner) digit() (byte, error) {
	b, err := s.r.Peek(1)
	if err != nil {
		return 0, unexpected(err)
	}
	return b[0], nil
}

// digits reads one or more digits.
func (s *scanner) digits() error {
	for n := 0; ; n++ {
		c, err := s.digit()
		if n > 0 && (errors.Is(err, io.ErrUnexpectedEOF) || err == nil && (c < '0' || c > '9')) {
			return nil
		}
		if err != nil {
			return err
		}
		if c < '0' || c > '9' {
			return s.errorf("want a JSON value")
		}
		if _, err := s.next(); err != nil {
			return err
		}
	}
}

// peek skips white space and returns the next byte, unread.
func (s *scanner) peek() (byte, error) {
	for {
		c, err := s.digit()
		if err != nil {
			return 0, err
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			if _, err := s.next(); err != nil {
				return 0, err
			}
		default:
			return c, nil
		}
	}
}

func (s *scanner) next() (rune, error) {
	r, size, err := s.r.ReadRune()
	if err != nil {
		return 0, unexpected(err)
	}
	if r == utf8.RuneError && size == 1 {
		return 0, s.errorf("invalid UTF-8")
	}
	s.offset += int64(size)
	if s.keeping {
		if int64(s.kept.Len()+size) > s.limit {
			return 0, errTooLong
		}
		s.kept.WriteRune(r)
	}
	return r, nil
}

func (s *scanner) errorf(format string, args ...any) error {
	return fmt.Errorf("byte %d: %s", s.offset, fmt.Sprintf(format, args...))
}

// unexpected names the end of the text for what it is: too early.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
