// Package lab makes real faults on real TCP stacks: three network namespaces
// are a client, a router and a server, each fault is what it is in life (a
// firewall rule, a dead resolver, a server that thinks), our own agent
// captures it, and the analysis has to name it.
//
// It runs as root on Linux with iproute2 and nftables:
//
//	make lab                                   all cases
//	go test -run TestLab/dns ./test/lab        some of them
//	go test -run TestLab ./test/lab -update    record them anew, for the tests of internal/analysis
package lab
