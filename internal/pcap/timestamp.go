package pcap

import "time"

// Timestamp is the moment a packet was captured, in nanoseconds since the
// Unix epoch, UTC. It is a third of a [time.Time] and is kept by the million.
// Zero means that the moment is unknown.
type Timestamp int64

// Time returns t as a [time.Time] in UTC.
func (t Timestamp) Time() time.Time { return time.Unix(0, int64(t)).UTC() }

// Sub returns t-u.
func (t Timestamp) Sub(u Timestamp) time.Duration { return time.Duration(t - u) }
