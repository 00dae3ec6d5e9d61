// Package pcap streams packets out of capture files, in fixed memory, and
// writes them.
//
// It reads classic pcap in all its dialects, pcapng and NetMon, each of them
// plain or compressed with gzip. The file comes from a stranger: every length
// in it is bounded before it is believed.
package pcap
