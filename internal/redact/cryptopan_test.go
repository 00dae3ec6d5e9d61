package redact

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// referenceKey is the key of the sample in Crypto-PAn's distribution.
var referenceKey = Key{
	21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16,
	216, 152, 143, 131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2,
}

// The vectors for IPv4 are of the distribution's sample trace, those for IPv6
// are what other implementations publish.
func TestCryptoPAnVectors(t *testing.T) {
	var counting Key
	for i := range counting {
		counting[i] = byte(i)
	}
	for _, test := range []struct {
		key      Key
		in, want string
	}{
		{referenceKey, "128.11.68.132", "135.242.180.132"},
		{referenceKey, "129.118.74.4", "134.136.186.123"},
		{referenceKey, "130.132.252.244", "133.68.164.234"},
		{referenceKey, "141.223.7.43", "141.167.8.160"},
		{referenceKey, "152.163.225.39", "151.140.114.167"},
		{referenceKey, "156.29.3.236", "147.225.12.42"},
		{referenceKey, "192.102.249.13", "252.138.62.131"},
		{referenceKey, "195.205.63.100", "255.186.223.5"},
		{referenceKey, "204.184.162.189", "243.192.77.90"},
		{counting, "192.0.2.1", "2.90.93.17"},
		{counting, "2001:db8::1", "dd92:2c44:3fc0:ff1e:7ff9:c7f0:8180:7e00"},
		{referenceKey, "::2", "78ff:f001:9fc0:20df:8380:b1f1:704:ef"},
		{referenceKey, "::ffff", "78ff:f001:9fc0:20df:8380:b1f1:704:f838"},
	} {
		m := newMapper(Options{Key: test.key})
		if got := m.addr(netip.MustParseAddr(test.in)); got != netip.MustParseAddr(test.want) {
			t.Errorf("%s becomes %v, want %s", test.in, got, test.want)
		}
	}
}

// Whatever the key and the addresses: as many bits as two shared they share
// afterwards, and what was the same or different still is.
func TestPrefixesArePreserved(t *testing.T) {
	for _, size := range []int{4, 16} {
		t.Run(fmt.Sprintf("%d_bytes", size), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var key Key
				copy(key[:], rapid.SliceOfN(rapid.Byte(), KeyLength, KeyLength).Draw(t, "key"))
				p := newPAN(key)
				a := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "a")
				b := slices.Clone(a)
				if same := rapid.IntRange(0, size*8).Draw(t, "same"); same < size*8 {
					rest := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "rest")
					copy(b[same/8+1:], rest)
					b[same/8] ^= 0x80 >> (same % 8)
				}
				want := common(a, b)
				x, y, again := slices.Clone(a), slices.Clone(b), slices.Clone(a)
				p.anonymize(x, 0)
				p.anonymize(y, 0)
				if got := common(x, y); got != want {
					t.Fatalf("%x and %x share %d bits, %x and %x share %d", a, b, want, x, y, got)
				}
				// Mapped twice, the relation is still the same.
				p.anonymize(again, 0)
				if !bytes.Equal(x, again) {
					t.Fatalf("%x becomes %x, and then %x", a, x, again)
				}
				p.anonymize(x, 0)
				p.anonymize(y, 0)
				if got := common(x, y); got != want {
					t.Fatalf("after two rounds %x and %x share %d bits, want %d", x, y, got, want)
				}
			})
		})
	}
}

// common counts the leading bits that a and b share.
func common(a, b []byte) int {
	for i := range len(a) * 8 {
		if (a[i/8]^b[i/8])&(0x80>>(i%8)) != 0 {
			return i
		}
	}
	return len(a) * 8
}

// TestTraceanon compares with libtrace's implementation, packet by packet.
func TestTraceanon(t *testing.T) {
	traceanon, err := exec.LookPath("traceanon")
	if err != nil {
		t.Skip("no traceanon (Debian: libtrace-tools) on this machine to compare with")
	}
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, referenceKey[:], 0o600); err != nil {
		t.Fatal(err)
	}
	compared, files := 0, 0
	for _, file := range recordings(t) {
		before := slices.DeleteFunc(read(t, file), func(rec pcap.Record) bool { return rec.LinkType != pcap.LinkTypeEthernet })
		if len(before) == 0 {
			continue
		}
		// As classic pcap: all that it opens without being told what it is.
		ours, theirs := filepath.Join(dir, "ours.pcap"), filepath.Join(dir, "theirs.pcap")
		if err := os.WriteFile(ours, classic(t, before), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), traceanon, "-s", "-d", "-f", key, "pcapfile:"+ours, "pcapfile:"+theirs).CombinedOutput(); err != nil {
			t.Errorf("%s: traceanon cannot: %v %s", filepath.Base(file), err, out)
			continue
		}
		after := read(t, theirs)
		if len(before) != len(after) {
			t.Errorf("%s: traceanon writes %d packets of %d", filepath.Base(file), len(after), len(before))
			continue
		}
		files++
		m := newMapper(Options{Key: referenceKey, HidePlatform: true})
		var d1, d2 packet.Decoder
		for i := range before {
			var p, q packet.Packet
			d1.Decode(&before[i], &p)
			d2.Decode(&after[i], &q)
			if p.IPVersion != 4 || q.IPVersion != 4 || p.Tunnel != 0 {
				continue // it knows one IP header, and IPv4 alone
			}
			for _, pair := range [][2]netip.Addr{{p.Src, q.Src}, {p.Dst, q.Dst}} {
				ours := m.addr(pair[0])
				if ours == pair[0] || pair[0].IsMulticast() {
					continue // special
				}
				if compared++; ours != pair[1] {
					t.Fatalf("%s, frame %d: %v becomes %v, traceanon says %v", filepath.Base(file), i+1, pair[0], ours, pair[1])
				}
			}
		}
	}
	t.Logf("%d addresses compared, in %d captures", compared, files)
	if compared < 1000 {
		t.Errorf("only %d addresses were compared", compared)
	}
}

// classic writes a file of Ethernet frames.
func classic(t *testing.T, all []pcap.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcap.NewMicrosecondWriter(&b, pcap.LinkTypeEthernet, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range all {
		if err := w.WritePacket(max(0, rec.Time), rec.Length, rec.Data); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// read returns the packets of a file.
func read(t *testing.T, file string) []pcap.Record {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return packets(data)
}

func packets(capture []byte) (all []pcap.Record) {
	r, err := pcap.NewReader(bytes.NewReader(capture))
	if err != nil {
		return nil
	}
	for {
		rec, err := r.Next()
		if err != nil {
			return all
		}
		one := *rec
		one.Data = bytes.Clone(rec.Data)
		all = append(all, one)
	}
}

func TestAddresses(t *testing.T) {
	m := newMapper(Options{Key: referenceKey})
	for _, stays := range []string{
		"0.0.0.0", "255.255.255.255", "127.0.0.1", "224.0.0.251", "168.63.129.16", "169.254.169.254",
		"::", "::1", "ff02::1", "ff02::fb", "ff02::1:2",
	} {
		if got := m.addr(netip.MustParseAddr(stays)); got.String() != stays {
			t.Errorf("%s becomes %v, want it to stay", stays, got)
		}
	}
	hidden := newMapper(Options{Key: referenceKey, HidePlatform: true})
	for _, goes := range []string{"168.63.129.16", "169.254.169.254", "10.0.0.4", "239.1.2.3", "169.254.1.1", "fe80::1", "ff02::1:ff12:3456", "ff3e::8000:1234"} {
		got := hidden.addr(netip.MustParseAddr(goes))
		if got.String() == goes {
			t.Errorf("%s stays", goes)
		}
		if was := netip.MustParseAddr(goes).IsMulticast(); was && !got.IsMulticast() {
			t.Errorf("the group %s becomes %v, which is none", goes, got)
		}
	}
}

func TestEthernetAddresses(t *testing.T) {
	mac := func(m *mapper, n uint64) uint64 {
		b := binary.BigEndian.AppendUint64(nil, n)
		m.mac(b[2:])
		return binary.BigEndian.Uint64(b)
	}
	m, oui := newMapper(Options{Key: referenceKey}), newMapper(Options{Key: referenceKey, KeepOUI: true})
	for _, stays := range []uint64{0, 0xffffffffffff, 0x0180c2000000, 0x01005e0000fb, 0x333300000001, 0x333300010002} {
		if got := mac(m, stays); got != stays {
			t.Errorf("%012x becomes %012x, want it to stay", stays, got)
		}
	}
	const card = 0x000d3a112233
	got := mac(m, card)
	if got>>24 == card>>24 || got&0xffffff == card&0xffffff || got>>40&3 != 2 {
		t.Errorf("%012x becomes %012x, want another, local, of one card", card, got)
	}
	if again := mac(m, card); again != got {
		t.Errorf("%012x becomes %012x, and then %012x", card, got, again)
	}
	if got := mac(oui, card); got>>24 != card>>24 || got&0xffffff == card&0xffffff {
		t.Errorf("%012x becomes %012x, want the maker to stay and the rest to go", card, got)
	}
	// A solicited-node group and its Ethernet address stay each other's.
	group := mac(m, 0x3333ff123456)
	addr := m.addr(netip.MustParseAddr("ff02::1:ff12:3456")).As16()
	if group>>24 != 0x3333ff || group&0xffffff == 0x123456 || !bytes.Equal(binary.BigEndian.AppendUint32(nil, uint32(group))[1:], addr[13:]) {
		t.Errorf("3333ff123456 becomes %012x, and its group %v", group, netip.AddrFrom16(addr))
	}
}

func TestCacheIsBounded(t *testing.T) {
	m := newMapper(Options{Key: referenceKey})
	for i := range uint32(maxCached + 10) {
		m.ip4(binary.BigEndian.AppendUint32(nil, 10<<24+i))
	}
	if len(m.four) > maxCached {
		t.Errorf("%d addresses are remembered", len(m.four))
	}
}
