package evidence

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrBadName says that no file can be called that, now or later.
var ErrBadName = errors.New("not a file name")

// maxName is the longest blob name, in characters.
// https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
const maxName = 1024

// CheckName refuses, with [ErrBadName], the names that a URL or a path would
// turn into the name of something else on the way: "." and ".." and empty
// segments, backslashes, control and invisible characters, a dot or a slash
// at an end, broken UTF-8. Azure takes some of them; whoever drops such a file
// into the landing container gets it ignored, not followed.
func CheckName(name string) error {
	bad := func(why string) error {
		if len(name) > 200 {
			return fmt.Errorf("%w: %q...: %s", ErrBadName, strings.ToValidUTF8(name[:200], "?"), why)
		}
		return fmt.Errorf("%w: %q: %s", ErrBadName, name, why)
	}
	switch {
	case name == "":
		return bad("empty")
	case !utf8.ValidString(name):
		return bad("broken UTF-8")
	case utf8.RuneCountInString(name) > maxName:
		return bad(fmt.Sprintf("more than %d characters", maxName))
	case strings.Contains(name, `\`):
		return bad("backslash")
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }):
		return bad("control or invisible character")
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" {
			return bad("empty segment")
		}
		if strings.HasSuffix(segment, ".") {
			return bad("segment that ends in a dot") // Azure drops it; "." and ".." among them
		}
	}
	return nil
}

// CheckTags refuses tags that the Blob service would: more than 10, and
// letters other than those that [Landing.SetTags] lists.
// https://learn.microsoft.com/rest/api/storageservices/set-blob-tags
func CheckTags(tags map[string]string) error {
	if len(tags) > 10 {
		return fmt.Errorf("%d tags: at most 10", len(tags))
	}
	for key, value := range tags {
		switch {
		case key == "" || len(key) > 128:
			return fmt.Errorf("tag key of %d characters: 1 to 128", len(key))
		case len(value) > 256:
			return fmt.Errorf("tag %q: value of %d characters: at most 256", key, len(value))
		case strings.ContainsFunc(key+value, untaggable):
			return fmt.Errorf("tag %q = %q: only letters, digits, space and + - . / : = _ are allowed", key, value)
		}
	}
	return nil
}

// TagValue makes text that a person wrote fit for the value of a tag: letters
// that [CheckTags] refuses become "_", and what is too long is cut. It is for
// finding files again; the text itself stands in the custody manifest.
func TagValue(text string) string {
	text = strings.Map(func(r rune) rune {
		if untaggable(r) {
			return '_'
		}
		return r
	}, text)
	return text[:min(len(text), 256)]
}

func untaggable(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(" +-./:=_", r))
}
