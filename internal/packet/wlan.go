package packet

import "encoding/binary"

// radiotap passes over the header that drivers put before an 802.11 frame,
// and cuts the frame check sequence off where the header says there is one.
func (c *cursor) radiotap() header {
	if len(c.data) < 8 {
		return headerBad
	}
	le := binary.LittleEndian
	length := int(le.Uint16(c.data[2:]))
	if length < 8 || length > len(c.data) {
		return headerBad
	}
	const (
		hasTime     = 1 << 0
		hasFlags    = 1 << 1
		hasMore     = 1 << 31
		flagFCS     = 0x10
		flagPadding = 0x20
	)
	padded := false
	present := le.Uint32(c.data[4:])
	offset := 8
	for more := present; more&hasMore != 0 && offset+4 <= length; offset += 4 {
		more = le.Uint32(c.data[offset:])
	}
	if present&hasTime != 0 {
		offset = (offset+7)&^7 + 8
	}
	if present&hasFlags != 0 && offset < length {
		flags := c.data[offset]
		if flags&flagFCS != 0 && c.wire-length >= 4 {
			c.limit(c.wire - 4)
		}
		padded = flags&flagPadding != 0
	}
	c.skip(length)
	return c.wlan(padded)
}

// wlan passes over an 802.11 data header (IEEE 802.11, 9.2). Frames of other
// kinds, and encrypted ones, carry nothing that can be read. Some cards pad the
// header to a multiple of 4.
func (c *cursor) wlan(padded bool) header {
	if len(c.data) < 2 {
		return headerBad
	}
	kind, flags := c.data[0], c.data[1]
	const (
		data      = 0x08
		noData    = 0x40
		qos       = 0x80
		toFromDS  = 0x03
		protected = 0x40
		order     = 0x80
	)
	if kind&0x0c != data || kind&noData != 0 || flags&protected != 0 {
		return headerNone
	}
	length := 24
	if flags&toFromDS == toFromDS {
		length += 6
	}
	if kind&qos != 0 {
		if len(c.data) >= length+2 && c.data[length]&0x80 != 0 {
			return headerNone // several frames in one
		}
		length += 2
		if flags&order != 0 {
			length += 4
		}
	}
	if padded {
		length = (length + 3) &^ 3
	}
	return c.after(length, headerLLC)
}
