// Package flow knows the conversations in a capture: which packets belong
// together, who is the client, and what happened to every TCP connection.
//
// TCP segments are judged as tshark 4.0.17 does with default preferences
// (tcp.analysis.*), so that the figures can be checked in Wireshark. Later
// versions of Wireshark judge some segments differently (selective
// acknowledgements, window updates).
//
// All state is bounded by [Limits]. What a limit drops is counted in [Drops],
// and totals ([Counters]) include the connections that had to go.
package flow
