// Package cleartext recognises logins that anybody on the path can read. It
// says that there was one, when and where; what was sent never leaves it.
package cleartext

import (
	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A Kind is a way to log in without protection.
type Kind string

// The kinds.
const (
	HTTPBasic Kind = "http-basic"
	FTP       Kind = "ftp"
	Telnet    Kind = "telnet"
	POP       Kind = "pop"
	IMAP      Kind = "imap"
	SMTP      Kind = "smtp"
	LDAP      Kind = "ldap"
)

// A Login is one packet that carried a user name or a secret.
type Login struct {
	Kind  Kind
	From  stream.Side // who sent it
	Time  pcap.Timestamp
	Frame int64
	// Secret: it carried the secret itself (or, Telnet, may have), not only
	// the user's name.
	Secret bool
}

// Counters are packets, as tshark 4.0.17 shows commands of these protocols.
type Counters struct {
	HTTPBasic  int `json:"http_basic"`
	FTP        int `json:"ftp_user_pass"`
	TelnetData int `json:"telnet_data_pkts"`
	POP        int `json:"pop_user_pass"`
	IMAP       int `json:"imap_login"`
	SMTP       int `json:"smtp_auth"`
	LDAP       int `json:"-"` // simple binds; not a counter of the contract
}
