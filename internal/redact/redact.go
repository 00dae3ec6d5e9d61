// Package redact makes a derivative of a capture that can be shared: headers
// without payload, with other addresses in them.
//
// What is kept is decided byte by byte, by a list of what headers are made of;
// everything else is left out, and so is every packet that cannot be read to
// the end of its headers, or that reads differently afterwards. Ports,
// sequence numbers, sizes and times are kept: they are what a derivative is
// for. So is what they tell; see [Record].ResidualRisk.
package redact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/redact/message"
)

// Options say how to redact.
type Options struct {
	Key          Key
	ShiftTime    time.Duration // added to the time of every packet that has one
	KeepOUI      bool          // the first half of Ethernet addresses stays: who made the card
	HidePlatform bool          // 168.63.129.16 and 169.254.169.254 are replaced, too
	HashNames    bool          // messages of DNS, DHCP, TLS and HTTP stay as far as package message knows them, with other names
	TLP          TLP           // how far the derivative may go; empty is TLPAmber
	Version      string        // of the program, for the record
}

// between is how many packets are read before somebody asks whether to go on.
const between = 8192

// Run reads a capture to its end, or to where it can't be read on, and writes
// the derivative to dst as classic pcap, with the source's resolution of time.
// It returns the record of what was done. A source that is no capture gives a
// [*pcap.FormatError] and writes nothing.
//
// Memory does not depend on the source's length. dst gets a packet a call of
// Write; give it a buffer.
func Run(ctx context.Context, src io.Reader, dst io.Writer, o Options) (*Record, error) {
	if o.Key == (Key{}) {
		return nil, errors.New("redact: there is no key")
	}
	if o.TLP == "" {
		o.TLP = TLPAmber
	}
	source := &counter{hash: sha256.New()}
	r, err := pcap.NewReader(io.TeeReader(src, source))
	if err != nil {
		return nil, err
	}
	output := &counter{hash: sha256.New()}
	j := &job{options: o, mapper: newMapper(o), dst: io.MultiWriter(dst, output), dropped: map[Reason]int64{}}
	j.frame.m = j.mapper
	if o.HashNames {
		j.frame.messages = message.New(newNamer(j.mapper))
	}
	for n := 0; ; n++ {
		if n%between == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		rec, err := r.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			if _, damaged := errors.AsType[*pcap.FormatError](err); !damaged {
				return nil, err
			}
			j.damage = err.Error()
			break
		}
		if err := j.add(rec, r.Summary); err != nil {
			return nil, err
		}
	}
	if err := j.open(pcap.LinkTypeEthernet, r.Summary); err != nil { // where no packet was kept
		return nil, err
	}
	// What follows the last packet belongs to the source's hash.
	if _, err := io.Copy(source, src); err != nil {
		return nil, fmt.Errorf("read the capture to its end: %w", err)
	}
	return j.record(source, output, r.Summary()), nil
}

// counter hashes and counts what is written to it.
type counter struct {
	hash  hash.Hash
	bytes int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	return c.hash.Write(p)
}

func (c *counter) sum() string { return hex.EncodeToString(c.hash.Sum(nil)) }

// job is one redaction.
type job struct {
	options Options
	mapper  *mapper
	frame   frame
	dst     io.Writer
	out     *pcap.Writer
	link    pcap.LinkType
	packets int64
	wrong   int64
	dropped map[Reason]int64
	damage  string

	// What the analysis sees before and after.
	before, after             packet.Decoder
	packetBefore, packetAfter packet.Packet
}

// open writes the file header, once.
func (j *job) open(link pcap.LinkType, about func() pcap.Summary) error {
	if j.out != nil {
		return nil
	}
	create := pcap.NewWriter
	if about().Resolution >= time.Microsecond {
		create = pcap.NewMicrosecondWriter
	}
	var err error
	j.link = link
	j.out, err = create(j.dst, link, 0)
	return err
}

// add writes one packet, or drops it. An error is dst's.
func (j *job) add(rec *pcap.Record, about func() pcap.Summary) error {
	reason := j.frame.rewrite(rec)
	if reason == kept && j.out != nil && rec.LinkType != j.link {
		reason = LinkType // a pcap file has one
	}
	if reason == kept && !j.same(rec) {
		reason = Different
	}
	at, ok := shift(rec.Time, j.options.ShiftTime)
	if reason == kept && !ok {
		reason = TimeRange
	}
	if reason != kept {
		j.dropped[reason]++
		return nil
	}
	if err := j.open(rec.LinkType, about); err != nil {
		return err
	}
	j.packets++
	if j.frame.wrong {
		j.wrong++
	}
	return j.out.WritePacket(at, rec.Length, j.frame.b[:j.frame.at])
}

// shift moves a time, unless it is not known, and says whether a pcap file can
// hold it.
func shift(t pcap.Timestamp, by time.Duration) (pcap.Timestamp, bool) {
	moved := t
	if t != 0 {
		moved += pcap.Timestamp(by)
	}
	overflow := by > 0 && moved < t || by < 0 && moved > t
	return moved, !overflow && moved >= 0 && int64(moved)/1e9 <= math.MaxUint32
}

// same decodes the packet before and after it was rewritten, and reports
// whether both say the same of everything but addresses. It is what holds the
// rewriter to what the analysis reads, and lets no packet pass that one of the
// two understands otherwise.
func (j *job) same(rec *pcap.Record) bool {
	p, q := &j.packetBefore, &j.packetAfter
	j.before.Decode(rec, p)
	rewritten := *rec
	rewritten.Data = j.frame.b[:j.frame.at]
	j.after.Decode(&rewritten, q)
	a, b := p.ICMP, q.ICMP
	a.QuotedSrc, a.QuotedDst = j.mapper.addr(a.QuotedSrc), j.mapper.addr(a.QuotedDst)
	return p.VLAN == q.VLAN && p.Tunnel == q.Tunnel &&
		p.IPVersion == q.IPVersion && p.TTL == q.TTL && p.IPID == q.IPID && p.DontFragment == q.DontFragment &&
		p.Fragment == q.Fragment && p.Reassembled == q.Reassembled && p.IPPayloadLength == q.IPPayloadLength &&
		j.mapper.addr(p.Src) == q.Src && j.mapper.addr(p.Dst) == q.Dst &&
		p.Protocol == q.Protocol && p.Transport == q.Transport && p.SrcPort == q.SrcPort && p.DstPort == q.DstPort &&
		p.Seq == q.Seq && p.Ack == q.Ack && p.Flags == q.Flags && p.Window == q.Window && p.SegmentLength == q.SegmentLength &&
		p.MSS == q.MSS && p.WindowScale == q.WindowScale && p.SACKPermitted == q.SACKPermitted && p.SACK == q.SACK &&
		p.PartialHeader == q.PartialHeader && a == b
}
