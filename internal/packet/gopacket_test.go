package packet

import (
	"io"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
)

// TestGopacket compares the decoder with google/gopacket on every frame of
// the foreign captures and of the table, wherever both find a transport
// header.
func TestGopacket(t *testing.T) {
	var d Decoder
	var p Packet
	compared := 0
	compare := func(t *testing.T, name string, rec *pcap.Record) {
		d.Decode(rec, &p)
		if !p.Transport || p.PartialHeader || p.Reassembled || p.Protocol != ProtocolTCP && p.Protocol != ProtocolUDP {
			return
		}
		them, ok := gopacketView(rec)
		// It stops at tunnels that it does not know: then it has other
		// addresses, and there is nothing to compare.
		if !ok || them.src != p.Src || them.dst != p.Dst || them.tcp != (p.Protocol == ProtocolTCP) {
			return
		}
		compared++
		us := view{src: p.Src, dst: p.Dst, tcp: p.Protocol == ProtocolTCP, srcPort: p.SrcPort, dstPort: p.DstPort}
		if us.tcp {
			us.seq, us.ack, us.window, us.flags = p.Seq, p.Ack, p.Window, p.Flags&(FIN|SYN|RST|PSH|ACK|URG)
			us.mss, us.scale, us.sack = p.MSS, p.WindowScale, p.SACK
		}
		if us != them {
			t.Errorf("%s, frame %d:\n got %+v\nwant %+v", name, rec.Number, us, them)
		}
	}
	for _, test := range decodeTests {
		compare(t, test.name, &pcap.Record{Number: 1, Length: len(test.data), LinkType: test.link, Data: test.data})
	}
	if compared < 20 {
		t.Errorf("only %d frames of the table were compared, want more", compared)
	}
	t.Run("devset", func(t *testing.T) {
		for _, file := range devset.Files(t) {
			r, err := pcap.NewReader(file.Open(t))
			if err != nil {
				continue // not read here
			}
			for {
				rec, err := r.Next()
				if err != nil {
					if err != io.EOF {
						t.Log(err)
					}
					break
				}
				compare(t, file.Name(), rec)
			}
		}
		t.Logf("%d frames compared", compared)
	})
}

type view struct {
	src, dst         netip.Addr
	tcp              bool
	srcPort, dstPort uint16
	seq, ack         uint32
	window, mss      uint16
	flags            TCPFlags
	scale            int8
	sack             bool
}

// gopacketView is gopacket's opinion of a frame. Its decoders panic on some,
// and write into others, so that it gets a copy.
func gopacketView(rec *pcap.Record) (v view, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	link := layers.LinkType(rec.LinkType)
	if rec.LinkType > 255 {
		return v, false
	}
	for _, layer := range gopacket.NewPacket(rec.Data, link, gopacket.Default).Layers() {
		switch l := layer.(type) {
		case *layers.IPv4:
			v = view{}
			v.src, _ = netip.AddrFromSlice(l.SrcIP)
			v.dst, _ = netip.AddrFromSlice(l.DstIP)
		case *layers.IPv6:
			v = view{}
			v.src, _ = netip.AddrFromSlice(l.SrcIP)
			v.dst, _ = netip.AddrFromSlice(l.DstIP)
		case *layers.UDP:
			v.srcPort, v.dstPort, ok = uint16(l.SrcPort), uint16(l.DstPort), true
		case *layers.TCP:
			v.tcp, ok = true, true
			v.srcPort, v.dstPort = uint16(l.SrcPort), uint16(l.DstPort)
			v.seq, v.ack, v.window = l.Seq, l.Ack, l.Window
			for i, set := range []bool{l.FIN, l.SYN, l.RST, l.PSH, l.ACK, l.URG} {
				if set {
					v.flags |= 1 << i
				}
			}
			v.scale = -1
			for _, option := range l.Options {
				switch {
				case option.OptionType == layers.TCPOptionKindMSS && len(option.OptionData) == 2:
					v.mss = be16(option.OptionData)
				case option.OptionType == layers.TCPOptionKindWindowScale && len(option.OptionData) == 1:
					v.scale = int8(option.OptionData[0])
				case option.OptionType == layers.TCPOptionKindSACK && len(option.OptionData) >= 8:
					v.sack = true
				}
			}
		}
	}
	return v, ok
}
