package message

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

// capital is a mapper whose work can be read: labels become capitals of the
// letter that their name's length tells, addresses are turned over.
type capital struct{}

func (capital) IP4(b []byte) { slices.Reverse(b) }
func (capital) IP6(b []byte) { slices.Reverse(b) }
func (capital) MAC(b []byte) { slices.Reverse(b) }
func (capital) Label(dst, name []byte) {
	for i := range dst {
		dst[i] = 'A' + byte(len(name)%26)
	}
}

// datagram replaces what a payload holds, and returns what is kept.
func datagram(port uint16, was []byte) []byte {
	b := bytes.Clone(was)
	return b[:New(capital{}).Datagram(40000, port, b, was)]
}

func segment(port uint16, was []byte) []byte {
	b := bytes.Clone(was)
	return b[:New(capital{}).Segment(40000, port, b, was)]
}

func name(s string) dnsmessage.Name { return dnsmessage.MustNewName(s) }

// answer is a message with names that point into each other, packed by
// somebody else.
func answer(t testing.TB) []byte {
	t.Helper()
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 7, Response: true})
	b.EnableCompression()
	h := func(n string) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: name(n), Class: dnsmessage.ClassINET, TTL: 60}
	}
	var opt dnsmessage.ResourceHeader
	if err := opt.SetEDNS0(1232, 0, false); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		b.StartQuestions(),
		b.Question(dnsmessage.Question{Name: name("wWw.Contoso.example."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}),
		b.StartAnswers(),
		b.CNAMEResource(h("www.contoso.example."), dnsmessage.CNAMEResource{CNAME: name("edge.contoso.example.")}),
		b.AResource(h("edge.contoso.example."), dnsmessage.AResource{A: [4]byte{10, 71, 72, 73}}),
		b.AAAAResource(h("edge.contoso.example."), dnsmessage.AAAAResource{AAAA: [16]byte{0x20, 1, 15: 9}}),
		b.MXResource(h("contoso.example."), dnsmessage.MXResource{Pref: 5, MX: name("mail.contoso.example.")}),
		b.TXTResource(h("contoso.example."), dnsmessage.TXTResource{TXT: []string{"contoso-verification=1234", ""}}),
		b.SRVResource(h("_ldap._tcp.contoso.example."), dnsmessage.SRVResource{Port: 389, Target: name("dc.contoso.example.")}),
		b.UnknownResource(h("contoso.example."), dnsmessage.UnknownResource{Type: 46, Data: []byte("signature of contoso")}),
		b.StartAuthorities(),
		b.SOAResource(h("contoso.example."), dnsmessage.SOAResource{NS: name("ns.contoso.example."), MBox: name("admin.contoso.example."), Serial: 3}),
		b.StartAdditionals(),
		b.OPTResource(opt, dnsmessage.OPTResource{Options: []dnsmessage.Option{{Code: 8, Data: []byte{0, 1, 24, 0, 10, 71, 72}}}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDNS(t *testing.T) {
	was := answer(t)
	got := datagram(53, was)
	if len(got) != len(was) {
		t.Fatalf("%d bytes of %d are kept", len(got), len(was))
	}
	var before, after dnsmessage.Message
	if err := before.Unpack(was); err != nil {
		t.Fatal(err)
	}
	if err := after.Unpack(got); err != nil {
		t.Fatal(err)
	}
	if before.ID != after.ID || before.Response != after.Response {
		t.Errorf("header %+v becomes %+v", before.Header, after.Header)
	}
	var lines []string
	for _, q := range after.Questions {
		lines = append(lines, fmt.Sprint(q.Name, " ", q.Type))
	}
	for _, r := range slices.Concat(after.Answers, after.Authorities, after.Additionals) {
		lines = append(lines, fmt.Sprint(r.Header.Name, " ", r.Header.Type, " ", r.Body.GoString()))
	}
	text := strings.Join(lines, "\n")
	for _, want := range []string{
		"VVV.RRRRRRR.JJJJJJJ. TypeA", // the letters tell that each name was seen whole
		"WWWW.RRRRRRR.JJJJJJJ. TypeA dnsmessage.AResource{A: [4]byte{73, 72, 71, 10}}",
		"TypeAAAA dnsmessage.AAAAResource{AAAA: [16]byte{9, 0,",
		`MX: dnsmessage.MustNewName("WWWW.RRRRRRR.JJJJJJJ.")`,
		`TXT: []string{"` + strings.Repeat("x", 25) + `", ""}`,
		"CCCCC._tcp.RRRRRRR.JJJJJJJ. TypeSRV",
		`10 dnsmessage.UnknownResource{Type: 10, Data: []byte{0, 0,`,
		`MBox: dnsmessage.MustNewName("XXXXX.RRRRRRR.JJJJJJJ.")`,
		`dnsmessage.Option{Code: 12, Data: []byte{0, 0, 0, 0, 0, 0, 0}}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	for _, bad := range []string{"contoso", "example", "edge", "mail", "ns.", "admin", "signature", "dc."} {
		if bytes.Contains(bytes.ToLower(got), []byte(bad)) {
			t.Errorf("%q is still there", bad)
		}
	}
}

// What is not whole, or not what the protocol says, is refused.
func TestDNSRefuses(t *testing.T) {
	whole := answer(t)
	for n := range whole {
		if got := datagram(53, whole[:n]); len(got) != 0 {
			t.Fatalf("%d bytes of a message of %d are kept", len(got), n)
		}
	}
	question := func(qname string) []byte {
		return append([]byte("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"), qname+"\x00\x01\x00\x01"...)
	}
	for _, test := range []struct {
		name  string
		qname string
		ok    bool
	}{
		{"plain", "\x03www\x00", true},
		{"pointer_to_itself", "\xc0\x0c", false},
		{"pointer_into_the_header", "\x03www\xc0\x02", false},
		{"pointer_into_a_label", "\x03www\xc0\x0d", false},
		{"pointer_without_end", "\x03www\xc0\x0c", false},
		{"long_label", "\x40" + strings.Repeat("a", 64) + "\x00", false},
		{"long_name", strings.Repeat("\x3f"+strings.Repeat("a", 63), 4) + "\x00", false},
	} {
		if got := datagram(53, question(test.qname)); (len(got) > 0) != test.ok {
			t.Errorf("%s: %d bytes are kept", test.name, len(got))
		}
	}
	if got := datagram(53, append(question("\x03www\x00"), "secret"...)); bytes.Contains(got, []byte("secret")) {
		t.Error("what follows the message is kept")
	}
	if got := datagram(80, question("\x03www\x00")); len(got) != 0 {
		t.Error("any datagram is taken for DNS")
	}
}

func TestServiceBinding(t *testing.T) {
	record := []byte("\x00\x01\x81\x00\x00\x01\x00\x01\x00\x00\x00\x00" + // of the root
		"\x00\x00\x41\x00\x01" + "\x00\x00\x41\x00\x01\x00\x00\x00\x3c\x00\x20" +
		"\x00\x01\x03svc\x00" + "\x00\x01\x00\x03\x02h2" + "\x00\x04\x00\x04\x0a\x47\x48\x49" + "\x00\x05\x00\x06secret")
	got := datagram(65535, record)
	if len(got) != 0 {
		t.Error("a service binding outside DNS is kept")
	}
	got = datagram(53, record)
	if len(got) != len(record) || !bytes.Contains(got, []byte{0x49, 0x48, 0x47, 0x0a}) || bytes.Contains(got, []byte("svc")) || bytes.Contains(got, []byte("secret")) {
		t.Errorf("%x becomes %x", record, got)
	}
}

func TestDNSOverTCP(t *testing.T) {
	m := answer(t)
	one := append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)
	two := slices.Concat(one, one, one[:20])
	if got := segment(53, two); len(got) != 2*len(one) || bytes.Contains(got, []byte("contoso")) {
		t.Errorf("%d bytes are kept, want those of two messages, %d", len(got), 2*len(one))
	}
}

func TestDHCP(t *testing.T) {
	m := make([]byte, 240)
	m[0], m[1], m[2] = 1, 1, 6
	copy(m[12:], []byte{10, 71, 72, 73})
	copy(m[28:], "\x00\x0d\x3a\xc1\xc2\xc3")
	copy(m[44:], "boot.contoso.example")
	copy(m[236:], "\x63\x82\x53\x63")
	m = append(m, "\x35\x01\x01\x0c\x07contoso\x3d\x07\x01\x00\x0d\x3a\xc1\xc2\xc3\x32\x04\x0a\x47\x48\x49\x3c\x06secret\x51\x04\x00\x00\x00x\xffrest"...)
	got := datagram(67, m)
	if len(got) != len(m) {
		t.Fatalf("%d bytes of %d are kept", len(got), len(m))
	}
	want := "\x35\x01\x01\x0c\x07JJJJJJJ\x3d\x07\x01\xc3\xc2\xc1\x3a\x0d\x00\x32\x04\x49\x48\x47\x0a" + strings.Repeat("\x00", 8+6) + "\xff\x00\x00\x00\x00"
	if diff := cmp.Diff(want, string(got[240:])); diff != "" {
		t.Errorf("options(-want +got):\n%s", diff)
	}
	if !bytes.Equal(got[12:16], []byte{73, 72, 71, 10}) || !bytes.Equal(got[28:34], []byte{0xc3, 0xc2, 0xc1, 0x3a, 0x0d, 0}) || len(bytes.Trim(got[34:236], "\x00")) > 0 {
		t.Errorf("header %x", got[:240])
	}
	if got := datagram(67, m[:len(m)-5]); len(got) > 0 {
		t.Error("a message without an end is kept")
	}
}

// hello builds a client's hello with extensions, given in hexadecimal.
func hello(extensions ...string) []byte {
	ext, err := hex.DecodeString(strings.ReplaceAll(strings.Join(extensions, ""), " ", ""))
	if err != nil {
		panic(err)
	}
	body := slices.Concat([]byte("\x03\x03"), bytes.Repeat([]byte("R"), 32), []byte("\x04SSSS\x00\x04\x13\x01\x13\x02\x01\x00"), binary.BigEndian.AppendUint16(nil, uint16(len(ext))), ext)
	message := slices.Concat([]byte{1, 0}, binary.BigEndian.AppendUint16(nil, uint16(len(body))), body)
	return slices.Concat([]byte{22, 3, 1}, binary.BigEndian.AppendUint16(nil, uint16(len(message))), message)
}

const (
	sni      = "0000 0014 0012 00 000f" + "7777772e636f6e746f736f2e746573" // www.contoso.tes
	alpnH2   = "0010 0005 0003 02 6832"
	alpnOwn  = "0010 000a 0008 07 636f6e746f736f"
	keyShare = "0033 000a 0008 001d 0004 4b4b4b4b"
	ticket   = "0023 0006 746963 6b6574"
)

func TestTLS(t *testing.T) {
	was := hello(sni, alpnH2, alpnOwn, keyShare, ticket)
	got := segment(443, was)
	if len(got) != len(was) {
		t.Fatalf("%d bytes of %d are kept", len(got), len(was))
	}
	// As long as before, zeros and another name apart.
	want := string(was)
	for was, now := range map[string]string{
		strings.Repeat("R", 32): strings.Repeat("\x00", 32), "SSSS": strings.Repeat("\x00", 4), "KKKK": strings.Repeat("\x00", 4),
		"www.contoso.tes":                     "RRR.NNNNNNN.FFF",
		"\x00\x23\x00\x06ticket":              "\x00\x15\x00\x06\x00\x00\x00\x00\x00\x00",
		"\x00\x10\x00\x0a\x00\x08\x07contoso": "\x00\x15\x00\x0a" + strings.Repeat("\x00", 10),
	} {
		want = strings.Replace(want, was, now, 1)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("hello(-want +got):\n%s", diff)
	}
	certificate := "\x16\x03\x03\x00\x0f\x0b\x00\x00\x0bCN=contoso!"
	for _, test := range []struct {
		name string
		was  string
		kept int
	}{
		{"alert", "\x15\x03\x03\x00\x02\x02\x30", 7},
		{"encrypted_alert", "\x15\x03\x03\x00\x1asecretsecretsecretsecretse", 5},
		{"data", "\x17\x03\x03\x00\x06secret", 5},
		{"certificate", certificate, 9},
		{"hello_and_certificate", string(hello(sni)) + certificate, len(hello(sni)) + 9},
		{"change_and_encrypted", "\x14\x03\x03\x00\x01\x01\x16\x03\x03\x00\x06\xffecret", 11},
		{"hello_that_goes_on", string(hello(alpnH2, sni)[:70]), len(hello(alpnH2))},
		{"another_protocol", "\x16\x05\x00\x00\x01x", 0},
		{"half_a_header", "\x16\x03\x01", 0},
		{"hello_with_a_wrong_length", strings.Replace(string(hello(sni)), "\x00\x18\x00\x00\x00\x14", "\x00\x17\x00\x00\x00\x14", 1), 9},
	} {
		if got := segment(443, []byte(test.was)); len(got) != test.kept {
			t.Errorf("%s: %d bytes are kept, want %d: %q", test.name, len(got), test.kept, got)
		}
	}
}

func TestHTTP(t *testing.T) {
	for _, test := range []struct {
		name, was, want string
	}{
		{"request", "GET /a?token=secret HTTP/1.1\r\nHost: www.Contoso.test:8080\r\nContent-Length: 12\r\nCookie: sid=1\r\nX-Contoso: 1\r\n\r\nbody",
			"GET /xxxxxxxxxxxxxx HTTP/1.1\r\nHost: SSS.OOOOOOO.GGGG:8080\r\nContent-Length: 12\r\nxxxxxx: xxxxx\r\nxxxxxxxxx: x\r\n\r\n"},
		{"response", "HTTP/1.1 503 Contoso is down\r\nConnection: close\r\nKeep-Alive: timeout=5, max=9\r\nServer: contoso/1\r\nUpgrade: contoso\r\n folded\r\n\r\nsecret",
			"HTTP/1.1 503 xxxxxxxxxxxxxxx\r\nConnection: close\r\nKeep-Alive: timeout=5, max=9\r\nxxxxxx: xxxxxxxxx\r\nUpgrade: xxxxxxx\r\n xxxxxx\r\n\r\n"},
		{"address_as_a_host", "GET / HTTP/1.0\r\nHost: 10.71.72.73\r\n\r\n", "GET / HTTP/1.0\r\nHost: NN.KK.HH.EE\r\n\r\n"},
		{"odd_host", "GET / HTTP/1.0\r\nHost: [2001:db8::9]:80\r\n\r\n", "GET / HTTP/1.0\r\nHost: xxxxxxxxxxxxxxxx\r\n\r\n"},
		{"to_a_proxy", "CONNECT www.contoso.test:443 HTTP/1.1\r\n\r\n", "CONNECT /xxxxxxxxxxxxxxxxxxx HTTP/1.1\r\n\r\n"},
		{"head_that_goes_on", "GET / HTTP/1.1\r\nHost: www.contoso.test\r\n", ""},
		{"no_http", "USER contoso\r\n\r\n", ""},
		{"another_method", "BREW / HTTP/1.1\r\n\r\n", ""},
		{"another_version", "GET / HTTP/contoso\r\n\r\n", ""},
	} {
		if got := segment(80, []byte(test.was)); string(got) != test.want {
			t.Errorf("%s:\n%q, want\n%q", test.name, got, test.want)
		}
	}
}

// hasEmptyRecord says whether a record has no data, as in an update (RFC 2136,
// 2.5): dnsmessage then takes what follows the record for its data.
func hasEmptyRecord(message []byte) bool {
	var p dnsmessage.Parser
	if _, err := p.Start(message); err != nil || p.SkipAllQuestions() != nil {
		return false
	}
	for _, section := range []struct {
		header func() (dnsmessage.ResourceHeader, error)
		skip   func() error
	}{{p.AnswerHeader, p.SkipAnswer}, {p.AuthorityHeader, p.SkipAuthority}, {p.AdditionalHeader, p.SkipAdditional}} {
		for {
			h, err := section.header()
			if err != nil {
				break
			}
			if h.Length == 0 {
				return true
			}
			if section.skip() != nil {
				return false
			}
		}
	}
	return false
}

// Fuzz gives every reader any bytes: nothing behind what was understood may
// be kept, lengths stay, and no name does.
func Fuzz(f *testing.F) {
	f.Add(uint16(53), answer(f))
	f.Add(uint16(443), hello(sni, alpnH2, keyShare, ticket))
	f.Add(uint16(80), []byte("GET /a HTTP/1.1\r\nHost: www.contoso.test\r\nUpgrade: h2c\r\n\r\n"))
	f.Add(uint16(67), append(make([]byte, 236), "\x63\x82\x53\x63\x35\x01\x01\x0c\x07contoso\xff"...))
	f.Fuzz(func(t *testing.T, port uint16, was []byte) {
		if len(was) > 4096 {
			return
		}
		whole := bytes.Clone(was)
		for _, got := range [][]byte{datagram(port, was), segment(port, was)} {
			if len(got) > len(was) || !bytes.Equal(was, whole) {
				t.Fatalf("%d bytes kept of %d; the source is the same: %v", len(got), len(was), bytes.Equal(was, whole))
			}
		}
		if port != 53 {
			return
		}
		kept := datagram(port, was)
		var before, after dnsmessage.Message
		if len(kept) == 0 || before.Unpack(was) != nil || hasEmptyRecord(was) {
			return
		}
		if err := after.Unpack(kept); err != nil {
			t.Fatalf("the message can't be read any more: %v", err)
		}
		for i := range before.Questions {
			a, b := before.Questions[i].Name, after.Questions[i].Name
			if a.Length != b.Length {
				t.Fatalf("%v becomes %v", a, b)
			}
		}
	})
}
