// Package dns reads DNS messages and pairs questions with answers, within
// fixed memory.
package dns

import "strconv"

// A Type is the type of a question (IANA DNS parameters).
type Type uint16

// Types that are read.
const (
	TypeA     Type = 1
	TypeCNAME Type = 5
	TypeAAAA  Type = 28
)

var typeNames = map[Type]string{
	1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 35: "NAPTR",
	39: "DNAME", 43: "DS", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 52: "TLSA", 64: "SVCB", 65: "HTTPS",
	251: "IXFR", 252: "AXFR", 255: "ANY", 257: "CAA",
}

// String returns the mnemonic, or "TYPE65280" (RFC 3597).
func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// An RCode is the four bits of a response that say how it went (RFC 1035,
// 4.1.1); extended codes of EDNS are not added.
type RCode uint8

// The response codes that the product knows by name.
const (
	NoError        RCode = 0
	FormatError    RCode = 1
	ServerFailure  RCode = 2
	NameError      RCode = 3 // NXDOMAIN
	NotImplemented RCode = 4
	Refused        RCode = 5
)

var rcodeNames = [...]string{
	"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
}

// String returns the mnemonic, or "RCODE12".
func (r RCode) String() string {
	if int(r) < len(rcodeNames) {
		return rcodeNames[r]
	}
	return "RCODE" + strconv.Itoa(int(r))
}
