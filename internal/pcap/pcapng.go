package pcap

import "encoding/binary"

// Block types of pcapng (draft-ietf-opsawg-pcapng). Those that are not named
// here (name resolution, decryption secrets, ...) are skipped unread;
// decryption secrets never leave the file.
const (
	blockSectionHeader        = 0x0a0d0d0a
	blockInterfaceDescription = 1
	blockPacket               = 2 // obsolete
	blockSimplePacket         = 3
	blockInterfaceStatistics  = 5
	blockEnhancedPacket       = 6

	// Wireshark 4.0 lists these among the packets, so they take a number.
	blockSystemdJournal = 9
	blockCustom         = 0xbad
	blockCustomNoCopy   = 0x40000bad
)

const (
	byteOrderMagic = 0x1a2b3c4d

	// maxBlockLength is tshark's limit: 16 MiB.
	maxBlockLength = 16 << 20
	// maxOptions is how much of a block is looked at for options.
	maxOptions = 64 << 10
	// maxInterfaces bounds the table of interfaces of a section: 3 MiB.
	maxInterfaces = 64 << 10
)

// ng is the state of a pcapng file.
type ng struct {
	order       binary.ByteOrder
	interfaces  []networkInterface // of the current section
	dropped     uint64             // from statistics blocks
	packetDrops uint64             // from the packets themselves
}

func isNG(head []byte) bool {
	return len(head) >= 4 && binary.BigEndian.Uint32(head) == blockSectionHeader
}

func (r *Reader) openNG() error {
	f := &ng{}
	head, err := r.peekMore(12)
	if err == errCut {
		return &FormatError{LooksLike: "the first bytes of a pcapng file, cut before its header ends"}
	} else if err != nil {
		return err
	}
	if _, ok := sectionOrder(head); !ok {
		return &FormatError{LooksLike: "a pcapng file whose first header is damaged"}
	}
	r.sum.Format = FormatPcapNG
	r.next = func() error { return r.nextNG(f) }
	return nil
}

func sectionOrder(block []byte) (binary.ByteOrder, bool) {
	switch uint32(byteOrderMagic) {
	case binary.LittleEndian.Uint32(block[8:]):
		return binary.LittleEndian, true
	case binary.BigEndian.Uint32(block[8:]):
		return binary.BigEndian, true
	}
	return nil, false
}

// nextNG reads blocks up to the next packet.
func (r *Reader) nextNG(f *ng) error {
	for {
		h, err := r.peek(8)
		if err != nil {
			return err
		}
		order := f.order
		section := binary.BigEndian.Uint32(h) == blockSectionHeader // reads the same both ways
		if section {
			if h, err = r.peekMore(12); err != nil {
				return err
			}
			var ok bool
			if order, ok = sectionOrder(h); !ok {
				return damaged("a section header has no byte-order mark")
			}
		}
		kind, length := order.Uint32(h), order.Uint32(h[4:])
		if length < 12 || length > maxBlockLength {
			return damaged("a block claims %d bytes", length)
		}
		// Some writers forget to count the padding (tshark: rounds up, too).
		total := (int(length) + 3) &^ 3
		packet, err := r.block(f, order, kind, total)
		if err != nil {
			return err
		}
		if packet {
			return nil
		}
	}
}

// block reads one block, and reports whether it was a packet.
func (r *Reader) block(f *ng, order binary.ByteOrder, kind uint32, total int) (bool, error) {
	switch kind {
	case blockEnhancedPacket, blockPacket, blockSimplePacket, blockInterfaceDescription, blockInterfaceStatistics, blockSectionHeader:
	case blockSystemdJournal, blockCustom, blockCustomNoCopy:
		r.rec.Time, r.rec.Length, r.rec.LinkType, r.rec.Data = 0, 0, LinkTypeNone, nil
		return true, r.skipBlock(order, total)
	default:
		return false, r.skipBlock(order, total)
	}
	// A block that exceeds the buffer is not a packet, or one with options
	// beyond reason.
	if total > bufferSize {
		return false, damaged("a packet or interface block claims %d bytes", total)
	}
	b, err := r.peekMore(total)
	if err != nil {
		return false, err
	}
	if err := checkTrailer(order, b); err != nil {
		return false, err
	}
	body := b[8 : total-4]
	switch kind {
	case blockEnhancedPacket:
		err = r.enhancedPacket(f, body)
	case blockPacket:
		err = r.obsoletePacket(f, body)
	case blockSimplePacket:
		err = r.simplePacket(f, body)
	default:
		switch kind {
		case blockSectionHeader:
			err = f.section(order, body)
		case blockInterfaceDescription:
			err = r.interfaceDescription(f, body)
		case blockInterfaceStatistics:
			r.interfaceStatistics(f, body)
		}
		if err == nil {
			err = r.discard(total)
		}
		return false, err
	}
	r.skip = total
	return true, err
}

// skipBlock passes over a block of any length, and checks that it ends as it
// began.
func (r *Reader) skipBlock(order binary.ByteOrder, total int) error {
	head, err := r.peekMore(8)
	if err != nil {
		return err
	}
	length := order.Uint32(head[4:])
	if err := r.discard(total - 4); err != nil {
		return err
	}
	tail, err := r.peekMore(4)
	if err != nil {
		return err
	}
	if order.Uint32(tail) != length {
		return damaged("a block's two lengths differ")
	}
	return r.discard(4)
}

func checkTrailer(order binary.ByteOrder, block []byte) error {
	if order.Uint32(block[4:]) != order.Uint32(block[len(block)-4:]) {
		return damaged("a block's two lengths differ")
	}
	return nil
}

func (f *ng) section(order binary.ByteOrder, body []byte) error {
	if len(body) < 16 {
		return damaged("a section header is too short")
	}
	if major := order.Uint16(body[4:]); major != 1 {
		return damaged("a section has version %d, which is unknown", major)
	}
	f.interfaces = f.interfaces[:0]
	f.order = order
	return nil
}
