// Package pcaptest builds small captures from readable scripts, for tests.
//
// A line is a packet:
//
//	TIME FROM > TO WHAT... [NAME=VALUE...]
//
//	0.000  10.0.0.5:40001 > 10.0.0.4:443  SYN mss=1460
//	+0.010 10.0.0.4:443 > 10.0.0.5:40001  SYN-ACK
//	+0.010 10.0.0.5:40001 > 10.0.0.4:443  ACK
//	+0.001 10.0.0.5:40001 > 10.0.0.4:443  text "GET / HTTP/1.1\r\n\r\n"
//	+0.001 10.0.0.4:443 > 10.0.0.5:40001  data 1460
//	+0.200 10.0.0.4:443 > 10.0.0.5:40001  again
//	+0.001 10.0.0.4:443 > 10.0.0.5:40001  FIN
//	+0.001 10.0.0.5:40001 > 10.0.0.4:443  RST ttl=60
//	+1.000 10.0.0.5:5353 > 10.0.0.4:53    query A www.example.com id=7
//	+0.010 10.0.0.4:53 > 10.0.0.5:5353    answer A www.example.com 192.0.2.1 id=7 rcode=0
//	+0.000 10.0.0.1 > 10.0.0.5            icmp 3/4 quotes=5 mtu=1400
//	+0.000 10.0.0.1:67 > 10.0.0.5:68      dhcp ack 10.0.0.5 dns=10.0.0.2;10.0.0.3 lease=86400
//
// TIME is in seconds from the start, or with "+" from the packet before.
// Sequence and acknowledgement numbers follow from what was sent; seq= and
// ack= set them, relative to the first. "again" sends the sender's last
// segment with payload once more. "tls" sends TLS records: see tls.go.
// Further names: win, len (claimed payload), ttl, ipid, wscale, rcode, tc, snap
// (bytes of the frame that are captured), tcp (a DNS message over TCP).
// Lines between "repeat N" and "end" are repeated; in them {i} counts from 0, and
// {40000+i}, {i%4+1} are reckoned from left to right:
//
//	repeat 30
//	+0.100 10.0.0.5:{40000+i} > 10.0.0.4:443  SYN
//	end
//
// Empty lines and what follows "#" are left out.
package pcaptest

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Epoch is when scripts begin.
var Epoch = time.Date(2026, 3, 17, 2, 10, 0, 0, time.UTC)

// Capture returns the script's packets as a pcap file. It panics on a mistake
// in the script, since nobody but a test writes one.
func Capture(script string) []byte {
	var file bytes.Buffer
	if err := Write(&file, script); err != nil {
		panic(err)
	}
	return file.Bytes()
}

// Write writes the script's packets as a pcap file.
func Write(w io.Writer, script string) error {
	out, err := pcap.NewWriter(w, pcap.LinkTypeEthernet, 262144)
	if err != nil {
		return err
	}
	b := &builder{flows: map[[2]netip.AddrPort]*flow{}}
	return unroll(script, func(line string) error {
		frame, err := b.packet(line)
		if err != nil {
			return err
		}
		b.frames = append(b.frames, frame)
		at := pcap.Timestamp(Epoch.Add(b.now).UnixNano())
		return out.WritePacket(at, len(frame), frame[:min(b.snap, len(frame))])
	})
}

type builder struct {
	now    time.Duration
	flows  map[[2]netip.AddrPort]*flow // by sender and receiver
	frames [][]byte
	ipid   uint16
	snap   int // of the packet at hand
}

// flow is one direction of a connection.
type flow struct {
	initial uint32
	next    uint32 // what it sends next
	seen    uint32 // what it has of the other side
	window  uint16
	last    []byte // payload of the last segment that had one
	lastSeq uint32
}

type line struct {
	src, dst netip.AddrPort
	words    []string
	values   map[string]string
}

func (b *builder) packet(text string) ([]byte, error) {
	l, err := b.parse(text)
	if err != nil {
		return nil, err
	}
	b.ipid++
	if v, ok := l.values["ipid"]; ok {
		n, err := strconv.ParseUint(v, 10, 16)
		if err != nil {
			return nil, err
		}
		b.ipid = uint16(n)
	}
	snap, err := l.number("snap", 1<<18)
	if err != nil {
		return nil, err
	}
	b.snap = int(snap)
	if _, stream := l.values["tcp"]; stream {
		return b.tcp(l)
	}
	switch l.words[0] {
	case "icmp":
		return b.icmp(l)
	case "dhcp":
		payload, err := dhcpMessage(l)
		if err != nil {
			return nil, err
		}
		return b.frame(l, 17, udp(l, payload)), nil
	case "query", "answer":
		payload, err := dnsMessage(l)
		if err != nil {
			return nil, err
		}
		return b.frame(l, 17, udp(l, payload)), nil
	case "udp":
		n, err := strconv.Atoi(l.words[1])
		if err != nil {
			return nil, err
		}
		return b.frame(l, 17, udp(l, make([]byte, n))), nil
	}
	return b.tcp(l)
}

func (b *builder) parse(text string) (*line, error) {
	fields := split(text)
	if len(fields) < 5 || fields[2] != ">" {
		return nil, fmt.Errorf("want TIME FROM > TO WHAT")
	}
	seconds, err := strconv.ParseFloat(strings.TrimPrefix(fields[0], "+"), 64)
	if err != nil {
		return nil, err
	}
	at := time.Duration(seconds * 1e9)
	if fields[0][0] == '+' {
		at += b.now
	}
	b.now = at
	l := &line{values: map[string]string{}}
	if l.src, err = endpoint(fields[1]); err != nil {
		return nil, err
	}
	if l.dst, err = endpoint(fields[3]); err != nil {
		return nil, err
	}
	for _, f := range fields[4:] {
		if name, value, ok := strings.Cut(f, "="); ok && f[0] != '"' {
			l.values[name] = value
		} else {
			l.words = append(l.words, f)
		}
	}
	if len(l.words) == 0 {
		return nil, fmt.Errorf("says nothing of the packet")
	}
	return l, nil
}

// split cuts at blanks outside of quotes.
func split(s string) []string {
	var fields []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] == '"' {
			quoted, err := strconv.QuotedPrefix(s)
			if err == nil {
				fields = append(fields, quoted)
				s = s[len(quoted):]
				continue
			}
		}
		end := strings.IndexAny(s, " \t")
		if end < 0 {
			end = len(s)
		}
		fields = append(fields, s[:end])
		s = s[end:]
	}
	return fields
}

func endpoint(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 0), nil
	}
	return netip.ParseAddrPort(s)
}

// number returns a named value, or otherwise.
func (l *line) number(name string, otherwise uint64) (uint64, error) {
	v, ok := l.values[name]
	if !ok {
		return otherwise, nil
	}
	return strconv.ParseUint(v, 10, 32)
}
