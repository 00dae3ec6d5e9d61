package redact

import (
	"maps"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Schema names the version of the JSON document that a [Record] is.
const Schema = "pcapwarden.redaction/v1"

// A Record says how a derivative came to be. It goes beside the file and may
// be shared with it: it holds no name, no address and no time of the source.
type Record struct {
	Schema         string           `json:"schema"`
	Tool           Tool             `json:"tool"`
	WasDerivedFrom Source           `json:"wasDerivedFrom"`
	Output         Output           `json:"output"`
	TLP            TLP              `json:"tlp"`
	KeyID          string           `json:"keyId"` // a hash of the key
	Transforms     []string         `json:"transforms"`
	Dropped        map[Reason]int64 `json:"dropped"` // packets that are not in the output, by reason
	ResidualRisk   []string         `json:"residualRisk"`
}

// A TLP marking says how far a document may go (FIRST, Traffic Light Protocol
// 2.0).
type TLP string

// The markings.
const (
	TLPRed         TLP = "TLP:RED"
	TLPAmberStrict TLP = "TLP:AMBER+STRICT"
	TLPAmber       TLP = "TLP:AMBER"
	TLPGreen       TLP = "TLP:GREEN"
	TLPClear       TLP = "TLP:CLEAR"
)

// A Tool is the program that made a derivative.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// A Source is the file that a derivative was made from.
type Source struct {
	SHA256  string `json:"sha256"`
	Bytes   int64  `json:"bytes"`
	Packets int64  `json:"packets"`
	// Damage says why reading stopped before the end of the file.
	Damage   string `json:"damage,omitempty"`
	CutShort bool   `json:"cutShort,omitempty"` // the file ends within a packet
}

// An Output is the derivative.
type Output struct {
	SHA256   string `json:"sha256"`
	Bytes    int64  `json:"bytes"`
	Packets  int64  `json:"packets"`
	LinkType string `json:"linkType"`
	// WrongChecksums is how many packets have a checksum that was wrong in the
	// source and is still: they are damaged, or were captured before the
	// network card made it.
	WrongChecksums int64 `json:"wrongChecksums"`
}

// record tells what was done.
func (j *job) record(source, output *counter, about pcap.Summary) *Record {
	payload := "payload: cut; captured lengths shrink, lengths on the wire and in headers stay; fragments are filled with zeros"
	risks := residualRisk
	if j.options.HashNames {
		payload += "; kept are whole messages of DNS and DHCP, hellos and alerts of TLS, and heads of HTTP messages, without what is free text, random or not known in them"
		risks = append(slices.Clone(risks), namesRisk...)
	}
	transforms := []string{
		payload,
		"IPv4 and IPv6 addresses: Crypto-PAn, AES-128, prefixes preserved; also in ARP, neighbor discovery, tunnels and quotes of ICMP errors",
		"special addresses: unspecified, loopback, broadcast and well-known groups stay; other groups stay groups",
	}
	if j.options.HashNames {
		transforms = append(transforms, "names: HMAC-SHA-512, keyed, label by label, each with all that is behind it; lengths stay; addresses in messages as in headers")
	}
	if !j.options.HidePlatform {
		transforms = append(transforms, "168.63.129.16 and 169.254.169.254: stay; they are the same in all of Azure")
	}
	if j.options.KeepOUI {
		transforms = append(transforms, "Ethernet addresses: replaced; the maker's half stays")
	} else {
		transforms = append(transforms, "Ethernet addresses: replaced")
	}
	transforms = append(transforms,
		"options of IP, IPv6 and Geneve, unknown options of TCP, check values of IPsec: blanked",
		"checksums: made anew, as if what was cut were zeros; where one can be seen to be wrong it stays wrong, but another",
		"comments, names, secrets and statistics of the file: left out",
	)
	if j.options.ShiftTime != 0 {
		transforms = append(transforms, "times: shifted, all by the same")
	}
	return &Record{
		Schema:         Schema,
		Tool:           Tool{Name: "pcapwarden", Version: j.options.Version},
		WasDerivedFrom: Source{SHA256: source.sum(), Bytes: source.bytes, Packets: about.Packets, Damage: j.damage, CutShort: about.CutShort},
		Output:         Output{SHA256: output.sum(), Bytes: output.bytes, Packets: j.packets, LinkType: j.link.String(), WrongChecksums: j.wrong},
		TLP:            j.options.TLP,
		KeyID:          j.options.Key.ID(),
		Transforms:     transforms,
		Dropped:        maps.Clone(j.dropped),
		ResidualRisk:   risks,
	}
}

// namesRisk is what names still tell when they were replaced.
var namesRisk = []string{
	"Names keep the lengths of their labels, and which of them end alike: often that is enough to guess well-known ones. Labels of one or two letters may become the same.",
	"Query types, codes, times to live, ciphers, versions and HTTP status stay: they tell services and programs.",
}

// residualRisk is what a derivative still tells, and what to do about it.
var residualRisk = []string{
	"Who has the key can undo the replacement of addresses: share the file, never the key.",
	"Who knows some addresses of the capture (from a ping of their own, or a well-known server) learns the prefixes that they share with others.",
	"Ports, sizes, times, TTLs, IP identifications, sequence numbers, TCP timestamps, VLAN and tunnel identifiers stay: they tell services, systems and habits, and match another capture of the same traffic.",
	"The hash of the source tells who has the source that this is its derivative.",
}
