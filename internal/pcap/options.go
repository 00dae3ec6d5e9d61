package pcap

import (
	"encoding/binary"
	"iter"
)

// options yields the options of a pcapng block, up to the end of options or
// to the first that runs over the block.
func options(order binary.ByteOrder, b []byte) iter.Seq2[uint16, []byte] {
	b = b[:min(len(b), maxOptions)]
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			code, length := order.Uint16(b), int(order.Uint16(b[2:]))
			if code == 0 || 4+length > len(b) || !yield(code, b[4:4+length]) {
				return
			}
			b = b[min(len(b), 4+(length+3)&^3):]
		}
	}
}
