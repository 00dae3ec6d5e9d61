package agent

// An Interface is a network interface of this machine as a [Wire]: Ethernet
// or a loopback, on Linux. Tapping it takes the right to capture
// (CAP_NET_RAW); without it the error is an [io/fs.ErrPermission], and on
// other systems [errors.ErrUnsupported].
type Interface struct {
	Name string
	// Do calls f where sockets belong to the interface's namespace; nil means
	// that they do anyway.
	Do func(f func() error) error
	// Restore, if set, changes frames before anything looks at them.
	Restore func(frame []byte)
}
