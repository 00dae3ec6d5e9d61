//go:build linux

package lab

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/analysis/analysistest"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// headers keeps the headers with their options, for transfers.
var headers = limits{snap: 80}

// line is an ordinary one: 20 Mbit/s, 10 ms away.
func line() path { return path{delay: 5 * time.Millisecond, rate: 20_000_000} }

// download fetches 300 KB over a path.
func download(toServer, toClient path) func(*world) {
	return func(w *world) {
		w.relay(toServer, toClient)
		w.server.site(web)
		w.client.fetch(w.client.browser(nil), web, "300000")
	}
}

var lossy = []experiment{
	{
		name: "loss-1-percent", doc: "One packet in 100 of a download is lost.", limits: headers,
		run: func(w *world) {
			p := line()
			p.lose = 100
			download(line(), p)(w)
		},
		shows: "tcp.analysis.lost_segment || tcp.analysis.retransmission || tcp.analysis.out_of_order || tcp.analysis.duplicate_ack",
		want:  want(analysis.PacketLoss, finding.Network, "tcp.retransmission"),
	},
	{
		name: "loss-5-percent", doc: "One packet in 20 of a download is lost; captured at the server.", limits: headers, at: serverSide,
		run: func(w *world) {
			p := line()
			p.lose = 20
			download(line(), p)(w)
		},
		shows: "tcp.analysis.retransmission || tcp.analysis.fast_retransmission || tcp.analysis.out_of_order",
		want:  want(analysis.PacketLoss, finding.Network, "tcp.retransmission"),
	},
	{
		name: "corrupted-frames", doc: "One packet in 25 of a download is damaged on the way; the client drops it.", limits: headers,
		run: func(w *world) {
			p := line()
			p.corrupt = 25
			download(line(), p)(w)
		},
		shows: "tcp.analysis.retransmission || tcp.analysis.duplicate_ack",
		want:  want(analysis.PacketLoss, finding.Network, "tcp.retransmission"),
	},
	{
		name: "reordering", doc: "One packet in 10 of a download comes 2 ms late, after those behind it; none is lost.", limits: headers,
		run: func(w *world) {
			p := line()
			p.overtake, p.late = 10, 2*time.Millisecond
			download(line(), p)(w)
		},
		shows: "tcp.analysis.out_of_order || tcp.analysis.retransmission",
		want:  want(analysis.Reordering, finding.Network),
	},
	{
		name: "delay-200ms", doc: "Every packet takes 200 ms each way.",
		run: func(w *world) {
			slow := path{delay: 200 * time.Millisecond}
			w.relay(slow, slow)
			w.server.site(web)
			for range 4 {
				w.client.fetch(w.client.browser(nil), web, "3000")
			}
		},
		shows: "tcp.time_delta > 0.39 && tcp.flags.syn == 1 && tcp.flags.ack == 1",
		want:  want(analysis.SlowNetwork, finding.Network),
	},
	{
		name: "delay-800ms", doc: "Every packet takes 800 ms each way: a queue that is full.",
		run: func(w *world) {
			slow := path{delay: 800 * time.Millisecond}
			w.relay(slow, slow)
			w.server.site(web)
			for range 3 {
				w.client.fetch(w.client.browser(nil), web, "3000")
			}
		},
		shows: "tcp.flags.syn == 1 && tcp.flags.ack == 1 && tcp.time_relative > 1.5 && !tcp.analysis.retransmission",
		want:  want(analysis.SlowNetwork, finding.Network, "tcp.slow-handshake"),
	},
	{
		name: "duplicated-frames", doc: "A monitor port gets every frame twice; the traffic itself is in order.", limits: headers,
		at: monitorPort,
		run: func(w *world) {
			w.server.site(web)
			for range 3 {
				w.client.fetch(w.client.browser(nil), web, "40000")
			}
		},
		shows: "tcp.analysis.retransmission || tcp.analysis.duplicate_ack",
		want:  analysistest.Want{Cause: analysis.Healthy, Culprits: []finding.Culprit{finding.None}, Also: []finding.Kind{"capture.duplicated"}},
	},
}

var sized = []experiment{
	{
		name: "mtu-blackhole", doc: "Full-sized packets vanish on the way, and nobody says so: an upload stalls.",
		run: func(w *world) {
			w.block("ip length > 1300 drop")
			w.server.site(web)
			if w.client.post(web, 20000, 9*time.Second) == nil {
				w.t.Error("the upload worked")
			}
		},
		shows: "tcp.analysis.retransmission && tcp.len > 1200",
		want:  want(analysis.MTUBlackhole, finding.Network, "tcp.mtu-blackhole"),
	},
	{
		name: "mtu-blackhole-icmp-ignored", doc: "The router asks for smaller packets by ICMP, and the client's packet filter drops that: an upload stalls.",
		run: func(w *world) {
			w.client.filter("input", "ip protocol icmp drop")
			w.router.ip("link set toserver mtu 1300\n")
			w.server.site(web)
			if w.client.post(web, 20000, 9*time.Second) == nil {
				w.t.Error("the upload worked")
			}
		},
		shows: "tcp.analysis.retransmission && tcp.len > 1200 || icmp.type == 3 && icmp.code == 4",
		want:  want(analysis.MTUBlackhole, finding.Network, "tcp.mtu-blackhole"),
	},
}
