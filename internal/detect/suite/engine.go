package suite

import "github.com/pcapwarden/pcapwarden/internal/detect"

// Engine documents what is reported without a detector: by whoever reads the
// file, before there is a packet to detect anything in.
var Engine = []detect.Reported{{
	Kind:      "capture.unreadable",
	Means:     "The file cannot be read as a capture, or is of a format that is known and not read, such as NetMon.",
	Threshold: "a file that begins with none of the marks of pcap, pcapng, or either of them in gzip",
	Next:      "Look at who wrote the file. A capture that another tool can open may be converted with editcap -F pcap.",
}}
