// Package loopback keeps TCP ports of 127.0.0.1 for processes that are told
// theirs when they start: a port that is only looked up and closed again may
// be anyone's by the time it is listened on, and a process that listens where
// another should is sent what is not its own.
package loopback

// A Port is taken until it is closed: the kernel gives it to nobody that asks
// for any port, neither to listen on nor to connect from.
type Port struct {
	Number int
	held   int // socket
}
