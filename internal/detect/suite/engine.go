package suite

import "github.com/pcapwarden/pcapwarden/internal/detect"

// Engine documents what is reported without a detector: by whoever reads the
// file, before there is a packet to detect anything in, and by whoever holds
// the packets against the rules of the network.
var Engine = []detect.Reported{{
	Kind:      "capture.unreadable",
	Means:     "The file cannot be read as a capture, or is of a format that is known and not read, such as NetMon.",
	Threshold: "a file that begins with none of the marks of pcap, pcapng, or either of them in gzip",
	Next:      "Look at who wrote the file. A capture that another tool can open may be converted with editcap -F pcap.",
}, {
	Kind:      "network.rules-disagree",
	Means:     "Packets did what Azure's rules forbid, or have no route for: the security rules or routes were changed between the capture and the question, a connection outlived a change, or there is a way that the rules do not know.",
	Threshold: "a deciding flow that passed, in a capture on a virtual machine or scale set, while IP flow verify or NSG diagnostics denies it, or its next hop is None. Asked after the analysis, for at most 4 flows, of the rules as they are then",
	Next:      "Look at the activity log of the security group or route table for changes since the capture; if there are none, find out which way the packets take.",
}}
