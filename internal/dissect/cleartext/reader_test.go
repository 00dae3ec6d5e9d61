package cleartext

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
)

// talk feeds a reader; lines with "<" come from the server. It returns the
// logins as "frame" or "frame!" where the secret passed.
func talk(kind Kind, lines ...string) (*Dissector, *Reader, []string) {
	var logins []string
	d := new(Dissector)
	frame := int64(0)
	d.Login = func(l Login) {
		mark := string('0' + rune(l.Frame))
		if l.Secret {
			mark += "!"
		}
		logins = append(logins, mark)
	}
	r := d.NewReader(kind, stream.Server)
	for _, l := range lines {
		frame++
		side := stream.Client
		if l[0] == '<' {
			side = stream.Server
		}
		r.Feed(stream.Chunk{From: side, Frame: frame, Data: []byte(l[1:])})
	}
	return d, r, logins
}

func TestLogins(t *testing.T) {
	tests := []struct {
		name string
		kind Kind
		talk []string
		want []string
		tls  bool
	}{
		{"ftp", FTP, []string{"<220 hi\r\n", ">USER u\r\n", "<331 ?\r\n", ">PASS s\r\n"}, []string{"2", "4!"}, false},
		{"ftp_anonymous", FTP, []string{">USER anonymous\r\n", ">PASS me@example.test\r\n"}, nil, false},
		{"ftp_cut", FTP, []string{">US", ">ER u\r\nPA", ">SS s\r", ">\n"}, []string{"2", "4!"}, false},
		{"ftp_tls", FTP, []string{">AUTH TLS\r\n", "<234 go\r\n"}, nil, true},
		{"ftp_tls_refused", FTP, []string{">AUTH TLS\r\n", "<504 no\r\n", ">PASS s\r\n"}, []string{"3!"}, false},
		{"pop", POP, []string{">user u\r\n", ">pass s\r\n", ">APOP u 0123\r\n", ">AUTH PLAIN\r\n"}, []string{"1", "2!", "3", "4!"}, false},
		{"pop_tls", POP, []string{">STLS\r\n", "<+OK Begin TLS\r\n"}, nil, true},
		{"imap", IMAP, []string{"<* OK\r\n", ">a1 LOGIN u s\r\n", ">a2 AUTHENTICATE PLAIN\r\n", ">a3 NOOP\r\n"}, []string{"2!", "3!"}, false},
		{"imap_tls", IMAP, []string{">a1 STARTTLS\r\n", "<* CAPABILITY\r\n", "<a1 OK go\r\n"}, nil, true},
		{"smtp", SMTP, []string{">EHLO a\r\n", ">AUTH LOGIN\r\n", ">AUTH CRAM-MD5\r\n", ">AUTH PLAIN AHVzZXIAcGFzcw==\r\n"}, []string{"2!", "3", "4!"}, false},
		{"smtp_mail_about_logins", SMTP, []string{">DATA\r\n", "<354 go\r\n", ">AUTH LOGIN\r\n.\r\nAUTH LOGIN\r\n"}, []string{"3!"}, false},
		{"smtp_mail_refused", SMTP, []string{">DATA\r\n", "<554 no\r\n", ">AUTH LOGIN\r\n"}, []string{"3!"}, false},
		{"smtp_tls", SMTP, []string{">STARTTLS\r\n", "<220 go\r\n"}, nil, true},
		{"telnet", Telnet, []string{"<\xff\xfd\x18login: ", ">u\r\n", "<Password: ", ">s", ">e", "<\r\nwelcome"}, []string{"4!"}, false},
		{"ldap_simple", LDAP, []string{">\x30\x15\x02\x01\x01\x60\x10\x02\x01\x03\x04\x05cn=me\x80\x04hush"}, []string{"1!"}, false},
		{"ldap_anonymous", LDAP, []string{">\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"}, nil, false},
		{"ldap_sasl", LDAP, []string{">\x30\x12\x02\x01\x01\x60\x0d\x02\x01\x03\x04\x00\xa3\x06\x04\x04PLAI"}, nil, false},
		{"ldap_tls", LDAP, []string{">\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037", "<\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"}, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, r, got := talk(tt.kind, tt.talk...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("logins (-want +got):\n%s", diff)
			}
			if r.Upgraded() != tt.tls {
				t.Errorf("upgraded = %v, want %v", r.Upgraded(), tt.tls)
			}
		})
	}
}

// The counts are what tshark 4.0.17 makes of the same packets.
func TestCountersAsTshark(t *testing.T) {
	tests := []struct {
		name string
		kind Kind
		talk []string
		want Counters
	}{
		{
			"ftp_first_command_of_each_packet", FTP,
			[]string{"<USER x\r\n", ">USER a\r\nPASS b\r\n", ">user a\r\n", ">US", ">ER a\r\n", ">PASS", ">SITE x\r\nPASS y\r\n", ">XUSER a\r\n", ">  USER a\r\n"},
			Counters{FTP: 3},
		},
		{"pop", POP, []string{">USER a\r\n", ">APOP b\r\n", ">NOOP\r\nPASS b\r\n", ">AUTH PLAIN\r\n", ">PASS"}, Counters{POP: 3}},
		{"imap", IMAP, []string{">a1 LOGIN u p\r\n", ">a3 NOOP\r\na4 login u p\r\n", ">a5 AUTHENTICATE LOGIN\r\n", ">a6 LO", ">GIN u p\r\n", "<a8 LOGIN u p\r\n"}, Counters{IMAP: 3}},
		{"smtp", SMTP, []string{">AUTH LOGIN\r\n", ">dXNlcg==\r\n", ">NOOP\r\nauth plain x\r\n", ">AU", ">TH PLAIN x\r\n", ">AUTHX x\r\n"}, Counters{SMTP: 3}},
		{
			"telnet", Telnet,
			[]string{
				"<\xff\xfd\x18\xff\xfd\x20", ">\xff\xfa\x18\x00vt100\xff\xf0", "<login: ", ">u", ">\r\x00", ">\xff\xff", ">\xff", ">\xfb\x18",
				">\xff\xfa\x18\x00vt1", ">00\xff\xf0", ">\x00", ">\xff\xf1", ">a\xff\xfb\x18",
			},
			Counters{TelnetData: 7},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, _, _ := talk(tt.kind, tt.talk...)
			if diff := cmp.Diff(tt.want, d.Counters()); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
		})
	}
}

// A reader that stays, for a connection that stays, keeps no secret.
func TestNothingIsKept(t *testing.T) {
	const secret = "Tr0ub4dor"
	for _, kind := range []Kind{FTP, POP, IMAP, SMTP, LDAP} {
		_, r, _ := talk(kind, ">PASS "+secret+"\r\n", ">a LOGIN u "+secret+"\r\n", ">\x30\x1a\x02\x01\x01\x60\x15\x02\x01\x03\x04\x05cn=me\x80\x09"+secret)
		r.Release()
		kept := string(r.half[0].kept[:]) + string(r.half[1].kept[:]) + string(r.ldap.kept[:])
		if strings.Contains(kept, secret[:4]) {
			t.Errorf("%s: the reader holds the secret", kind)
		}
		text, err := json.Marshal(Login{Kind: kind, Secret: true})
		if err != nil || strings.Contains(string(text), secret) {
			t.Errorf("%s: %s, %v", kind, text, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(uint8(0), []byte("USER u\r\nPASS s\r\n"), []byte("220 hi\r\n234 \r\n"), uint8(1))
	f.Add(uint8(2), []byte("a LOGIN u s\r\nb STARTTLS\r\n"), []byte("b OK\r\n"), uint8(2))
	f.Add(uint8(3), []byte("AUTH LOGIN\r\nDATA\r\n"), []byte("354 x\r\n"), uint8(3))
	f.Add(uint8(4), []byte("\x30\x15\x02\x01\x01\x60\x10\x02\x01\x03\x04\x05cn=me\x80\x04hush"), []byte("\x30\x0c"), uint8(4))
	f.Add(uint8(5), []byte("u\r\nsecret\r\n"), []byte("\xff\xfa\x18Password:"), uint8(5))
	kinds := []Kind{FTP, POP, IMAP, SMTP, LDAP, Telnet}
	f.Fuzz(func(t *testing.T, kind uint8, client, server []byte, size uint8) {
		k := kinds[int(kind)%len(kinds)]
		read := func(size int) (logins []Login, upgraded bool) {
			d := &Dissector{Login: func(l Login) { logins = append(logins, l) }}
			r := d.NewReader(k, stream.Server)
			for side, data := range [2][]byte{client, server} {
				for len(data) > 0 {
					n := min(size, len(data))
					r.Feed(stream.Chunk{From: stream.Side(side), Data: data[:n]})
					data = data[n:]
				}
			}
			r.Release()
			return logins, r.Upgraded()
		}
		whole, tls := read(1 << 20)
		cut, cutTLS := read(int(size) + 1)
		if k == Telnet || k == LDAP && cutTLS != tls {
			return // answers are looked for packet by packet
		}
		if diff := cmp.Diff(whole, cut); diff != "" || tls != cutTLS {
			t.Fatalf("cut into %d bytes it reads otherwise: TLS %v, %v (-whole +cut):\n%s", int(size)+1, tls, cutTLS, diff)
		}
	})
}
