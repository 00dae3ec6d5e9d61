package pcap

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// A FormatError says that a file is no capture, or where it stops being one.
// It never quotes the file.
type FormatError struct {
	// LooksLike is what a file without any capture in it seems to be, such
	// as "HTML" or "an empty file".
	LooksLike string

	// Damage is what is wrong with a capture, after Packets good packets.
	Damage  string
	Packets int64

	// Bomb: a compressed file grew so large that reading it was given up.
	Bomb bool
}

func (e *FormatError) Error() string {
	if e.LooksLike != "" {
		return "not a packet capture: this looks like " + e.LooksLike +
			"; pcap, pcapng and NetMon files can be read, plain or compressed with gzip"
	}
	if e.Bomb {
		return fmt.Sprintf("compressed capture given up after packet %d: %s", e.Packets, e.Damage)
	}
	return fmt.Sprintf("damaged capture after packet %d: %s", e.Packets, e.Damage)
}

// damaged makes the error for a capture that cannot be followed further.
func damaged(format string, args ...any) error {
	return &FormatError{Damage: fmt.Sprintf(format, args...)}
}

// sniffLength is how much of a file describe and the formats look at.
const sniffLength = 512

// magics of what is found in place of a capture, most often because a
// download saved an error page or an archive was not unpacked.
var magics = []struct{ magic, name string }{
	{"PK\x03\x04", "a zip archive; unpack it first"},
	{"PK\x05\x06", "an empty zip archive"},
	{"\x28\xb5\x2f\xfd", "a zstd file; decompress it first"},
	{"\xfd7zXZ\x00", "an xz file; decompress it first"},
	{"BZh", "a bzip2 file; decompress it first"},
	{"\x04\x22\x4d\x18", "an lz4 file; decompress it first"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"},
	{"Rar!\x1a\x07", "a RAR archive; unpack it first"},
	{"\x7fELF", "a Linux program (ELF)"},
	{"MZ", "a Windows program"},
	{"\xca\xfe\xba\xbe", "a macOS program or Java class"},
	{"\xcf\xfa\xed\xfe", "a macOS program"},
	{"%PDF-", "a PDF document"},
	{"\x89PNG\r\n\x1a\n", "a PNG image"},
	{"\xff\xd8\xff", "a JPEG image"},
	{"GIF8", "a GIF image"},
	{"SQLite format 3\x00", "an SQLite database"},
	{"snoop\x00\x00\x00", "a Solaris snoop capture; convert it with editcap -F pcap"},
	{"TRSNIFF data", "a Network General Sniffer capture; convert it with editcap -F pcap"},
	{"XCP\x00", "a NetXray capture; convert it with editcap -F pcap"},
	{"\xac\x01\x00\x1c", "an Ixia capture; convert it with editcap -F pcap"},
	{"\xab\x01\x00\x1c", "an Ixia capture; convert it with editcap -F pcap"},
	{"\x1f\x9d", "a Unix compress file; decompress it first"},
}

// describe says what the first bytes of a file look like.
func describe(head []byte) string {
	if len(head) == 0 {
		return "an empty file"
	}
	if len(bytes.Trim(head, "\x00")) == 0 {
		return "nothing but zero bytes"
	}
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.name
		}
	}
	text := bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	text = bytes.TrimLeft(text, " \t\r\n")
	if looksLikeText(head) && len(text) > 0 {
		lower := bytes.ToLower(text)
		switch {
		case bytes.HasPrefix(lower, []byte("<!doctype html")), bytes.HasPrefix(lower, []byte("<html")):
			return "an HTML page, perhaps a sign-in or error page that a download saved"
		case bytes.HasPrefix(lower, []byte("<?xml")), text[0] == '<':
			return "XML, perhaps an error that a storage service answered"
		case text[0] == '{', text[0] == '[':
			return "JSON, perhaps an error that a service answered"
		case bytes.HasPrefix(text, []byte("#!")):
			return "a script"
		}
		return "text"
	}
	if len(head) < 24 {
		return "a file too short for any capture"
	}
	return "binary data of an unknown kind"
}

// looksLikeText reports whether head is UTF-8 without control characters.
// Its last rune may be cut.
func looksLikeText(head []byte) bool {
	for len(head) > 0 {
		c, size := utf8.DecodeRune(head)
		if c == utf8.RuneError && size == 1 {
			return len(head) < utf8.UTFMax && !utf8.FullRune(head)
		}
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' {
			return false
		}
		head = head[size:]
	}
	return true
}
