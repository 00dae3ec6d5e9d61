package report

import (
	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
)

// A talk is a row of the conversations.
type talk struct {
	Service, SNI, Tunnel   string
	Client, Server         string
	ClientName, ServerName string // whose the addresses are
	Connections            string
	Packets, Bytes         [2]string
	Retransmits, RTT       string
	State, History, Period string
}

func newTalks(all []analysis.Conversation, c *controlplane.Context) []talk {
	var out []talk
	for i := range all {
		x := &all[i]
		t := talk{
			Service: service(x), SNI: name(x.SNI), Tunnel: printable(x.Tunnel),
			Client: x.Client.String(), Server: x.Server.String(), Connections: count(x.Connections),
			ClientName: whose(c, x.Client.Addr()), ServerName: whose(c, x.Server.Addr()),
			Packets: [2]string{count(x.Packets[0]), count(x.Packets[1])}, Bytes: [2]string{Bytes(x.Bytes[0]), Bytes(x.Bytes[1])},
			Retransmits: "–", RTT: "–", State: printable(x.State), History: printable(x.History),
		}
		if x.Protocol == "tcp" {
			t.Retransmits = count(x.Retransmits)
		}
		if x.RTT > 0 {
			t.RTT = span(x.RTT)
		}
		if !x.First.IsZero() {
			t.Period = span(x.Last.Sub(x.First))
		}
		out = append(out, t)
	}
	return out
}
