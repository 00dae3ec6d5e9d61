package message

// What is done with an option of DHCP (RFC 2132).
type optionKind uint8

const (
	unknownOption optionKind = iota
	numberOption
	addressOption
	nameOption
	clientOption
)

var dhcpOptions = [256]optionKind{
	1: numberOption, 51: numberOption, 53: numberOption, 55: numberOption, 57: numberOption, 58: numberOption, 59: numberOption,
	3: addressOption, 6: addressOption, 28: addressOption, 42: addressOption, 44: addressOption, 50: addressOption, 54: addressOption,
	12: nameOption, 15: nameOption,
	61: clientOption,
}

// dhcp replaces what a message holds (RFC 2131). Options that are not known
// become padding, and so do the names of servers and boot files, in which
// options may hide.
func (r *Rewriter) dhcp(b, was []byte) int {
	const header = 240
	if len(was) < header || string(was[236:240]) != "\x63\x82\x53\x63" {
		return 0
	}
	for _, at := range [...]int{12, 16, 20, 24} {
		r.m.IP4(b[at : at+4])
	}
	if was[1] == 1 && was[2] == 6 { // Ethernet
		r.m.MAC(b[28:34])
		clear(b[34:236])
	} else {
		clear(b[28:236])
	}
	const pad, end = 0, 255
	for at := header; at < len(was); {
		switch was[at] {
		case pad:
			at++
			continue
		case end:
			clear(b[at+1:])
			return len(was)
		}
		if at+2 > len(was) || at+2+int(was[at+1]) > len(was) {
			return 0
		}
		next := at + 2 + int(was[at+1])
		if !r.option(dhcpOptions[was[at]], b[at+2:next], was[at+2:next]) {
			clear(b[at:next])
		}
		at = next
	}
	return 0 // it has no end
}

func (r *Rewriter) option(kind optionKind, b, was []byte) bool {
	switch kind {
	case numberOption:
		return true
	case addressOption:
		if len(b) == 0 || len(b)%4 != 0 {
			return false
		}
		for i := 0; i < len(b); i += 4 {
			r.m.IP4(b[i : i+4])
		}
		return true
	case nameOption:
		return r.text(b, was)
	case clientOption:
		if len(b) != 7 || b[0] != 1 {
			return false
		}
		r.m.MAC(b[1:])
		return true
	}
	return false
}
