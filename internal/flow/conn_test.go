package flow_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// only returns the one connection of a script through see.
func only(t *testing.T, script string, see func(*flow.Table, *flow.Conn)) {
	t.Helper()
	n := 0
	play(t, script, func(table *flow.Table, c *flow.Conn) {
		n++
		see(table, c)
	})
	if n != 1 {
		t.Fatalf("%d connections, want 1", n)
	}
}

func TestResetPhase(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		hello        []uint8 // handshake messages: the client's first, then the server's
		want         string
	}{
		{"refused", `0 > S 0 0
			1 < RA 0 1`, nil, "syn:server"},
		{"taken_back", `0 > S 0 0
			1 > R 1 0`, nil, "syn:client"},
		{"refused_after_syn_ack", `0 > S 0 0
			1 < SA 500 1
			2 > R 1 0`, nil, "synack:client"},
		{"before_payload", handshake + `20 < R 501 0`, nil, "established_no_data:server"},
		{"after_fin", handshake + `20 < FA 501 1
			21 > R 1 0`, nil, "after_fin:client"},
		{"midstream", `0 > A 7 8 len=9
			1 < R 8 0`, nil, "midstream:unknown"},
		{"midstream_with_syn_ack", `0 < SA 500 1
			1 > A 1 501
			2 > RA 1 501`, nil, "established_no_data:client"},
		{"after_client_hello", handshake + `20 > A 1 501 len=200
			21 < R 501 0`, []uint8{1, 0}, "after_client_hello:server"},
		{"after_certificate", handshake + `20 > A 1 501 len=200
			30 < A 501 201 len=1000
			40 > R 201 0`, []uint8{1, 2, 0, 11}, "after_certificate:client"},
		{"after_the_key_exchange", handshake + `20 > A 1 501 len=200
			30 < A 501 201 len=1000
			40 > R 201 0`, []uint8{1, 2, 16, 11}, "data:client"},
		{"after_client_data", handshake + `20 > A 1 501 len=200
			21 < R 501 0`, nil, "after_client_data:server"},
		{"after_data", handshake + `20 < A 501 1 len=20
			21 < R 521 0`, nil, "data:server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := flow.NewTable(flow.Limits{})
			for _, p := range packets(t, tt.script) {
				s := table.Add(&p)
				for i, message := range tt.hello {
					s.Conn.SawHandshake(flow.Direction(i%2), message)
				}
			}
			want := map[string]int64{tt.want: 1}
			if diff := cmp.Diff(want, table.Finish().FirstRSTPhaseBy); diff != "" {
				t.Errorf("phases (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReset(t *testing.T) {
	only(t, handshake+`
		20 > A 1 501 len=100 ttl=64 id=10
		30 < A 501 101 len=10 ttl=57 id=900
		40 > A 101 511 len=10 ttl=64 id=11
		41 < R 511 0 ttl=128 id=1
		42 < R 511 0 ttl=128 id=2
		500 < R 511 0 ttl=57 id=901
		`, func(_ *flow.Table, c *flow.Conn) {
		rst := c.RST()
		if !rst.TTLDiffers() || rst.UsualTTL != 64 && rst.UsualTTL != 57 || rst.LastIPID != 900 || rst.Frame != 7 || rst.ClosedPort() {
			t.Errorf("RST() = %+v: another machine sent it", rst)
		}
		if c.RSTEvents != 2 || c.Sides[server].RSTs != 3 {
			t.Errorf("%d RSTs in %d events, want 3 in 2", c.Sides[server].RSTs, c.RSTEvents)
		}
	})
	only(t, `0 > S 9 0
		1 < RA 0 10`, func(_ *flow.Table, c *flow.Conn) {
		if !c.RST().ClosedPort() || c.RST().TTLDiffers() || c.ResetBy() != "server" {
			t.Errorf("RST() = %+v by %s: a closed port", c.RST(), c.ResetBy())
		}
	})
}

func TestForeignReset(t *testing.T) {
	counting := handshake + `
		20 < A 501 1 len=10 id=900
		21 < A 511 1 len=10 id=901
		22 < A 521 1 len=10 id=903
		23 < A 531 1 len=10 id=910
		`
	for _, tt := range []struct {
		name, script string
		want         bool
	}{
		{"next in the row", counting + "30 < RA 541 1 id=911", false},
		{"0 of a host that forgot", counting + "30 < RA 541 1 id=0", false},
		{"out of the row", counting + "30 < RA 541 1 id=40000", true},
		{"a hop more", counting + "30 < RA 541 1 id=911 ttl=63", false},
		{"two hops more", counting + "30 < RA 541 1 id=911 ttl=62", true},
		{"random identifications", handshake + `
			20 < A 501 1 len=10 id=900
			21 < A 511 1 len=10 id=31000
			22 < A 521 1 len=10 id=7
			23 < A 531 1 len=10 id=50000
			30 < RA 541 1 id=20000`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			only(t, tt.script, func(_ *flow.Table, c *flow.Conn) {
				if got := c.RST().Foreign(); got != tt.want {
					t.Errorf("Foreign() = %v for %+v", got, c.RST())
				}
			})
		})
	}
}

func TestUnseen(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		want         bool // of the server
	}{
		{"SYN alone", "0 > S 9 0", false},
		{"SYN three times", "0 > S 9 0\n1000 > S 9 0\n3000 > S 9 0", false},
		{"SYN, then ACK", "0 > S 9 0\n20 > A 10 501", true},
		{"acknowledges more", "0 > A 10 501\n20 > A 10 1501", true},
		{"sends on without being asked again", "0 > A 10 501 len=99\n1 > A 109 501 len=99\n2 > A 208 501 len=99", true},
		{"sends the same again", "0 > A 10 501 len=99\n300 > A 10 501 len=99\n900 > A 10 501 len=99\n2000 > A 10 501 len=99", false},
		{"both are there", handshake, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			only(t, tt.script, func(_ *flow.Table, c *flow.Conn) {
				if got := c.Unseen(server); got != tt.want {
					t.Errorf("Unseen(server) = %v", got)
				}
			})
		})
	}
	only(t, "0 < SA 500 10\n9 < A 501 90 len=9", func(_ *flow.Table, c *flow.Conn) {
		if !c.Unseen(client) {
			t.Error("Unseen(client) = false: who would answer with a SYN-ACK, and with payload?")
		}
	})
}

func TestSlowAndNeedless(t *testing.T) {
	only(t, handshake+`
		20 > A 1 501 len=100
		1500 < A 501 101 len=1400
		1510 > A 101 1901
		1511 > A 101 1901 len=10
		1900 < A 501 111 len=1400
		1950 < A 1901 111 len=5
		`, func(_ *flow.Table, c *flow.Conn) {
		if talk := c.Server().Talk(); talk.Answers != 2 || talk.Slow != 1 {
			t.Errorf("%d answers, %d slow ones; want 2, 1", talk.Answers, talk.Slow)
		}
		if tr := c.Server().Trouble(); tr.Resent != 1 || tr.Needless != 1 {
			t.Errorf("%d resent, %d of them needless; want 1, 1", tr.Resent, tr.Needless)
		}
	})
}

func TestStateAndHistory(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"no_reply", `0 > S 0 0
			1000 > S 0 0`, "S0 S"},
		{"open", handshake, "S1 ShA"},
		{"closed", handshake + `20 > A 1 501 len=10
			21 < A 501 11
			22 < A 501 11 len=10
			23 > FA 11 511
			24 < FA 511 12
			25 > A 12 512`, "SF ShADadFf"},
		{"closed_then_reset", handshake + `23 > FA 1 501
			24 < FA 501 2
			25 > R 2 0`, "SF ShAFfR"},
		{"refused", `0 > S 0 0
			1 < RA 0 1`, "REJ Sr"},
		{"server_stays", handshake + `20 > FA 1 501`, "S2 ShAF"},
		{"client_stays", handshake + `20 < FA 501 1`, "S3 ShAf"},
		{"client_aborts", handshake + `20 > R 1 0`, "RSTO ShAR"},
		{"server_aborts", handshake + `20 > A 1 501 len=5
			21 < R 501 0`, "RSTR ShADr"},
		{"taken_back", `0 > S 0 0
			1 > R 1 0`, "RSTOS0 SR"},
		{"server_resets_unseen_client", `0 < SA 500 1
			1 < R 501 0`, "RSTRH ^hr"},
		{"fin_without_syn_ack", `0 > S 0 0
			1 > FA 1 1`, "SH SF"},
		{"server_half", `0 < SA 500 1
			1 < FA 501 1`, "SHR ^hf"},
		{"midstream", `0 > A 1 1 len=9
			1 < A 1 10`, "OTH Da"},
		{"gap_zero_window_and_again", handshake + `20 > A 1 501 len=10
			21 > A 51 501 len=10
			22 < A 501 11 win=0
			23 > A 1 501 len=10`, "S1 ShADGwaT"},
		{"odd_flags", `0 > SF 0 0`, "SH QSF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			only(t, tt.script, func(_ *flow.Table, c *flow.Conn) {
				if got := c.State() + " " + c.History(); got != tt.want {
					t.Errorf("state and history = %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestConnections(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		want         []string
	}{
		{"new_sequence_number_new_connection", handshake + `100 > S 7 0
			101 < SA 900 8`, []string{"0 S1 ShA", "1 S1 Sh"}},
		{"same_sequence_number_same_connection", handshake + `100 > S 0 0`, []string{"0 S1 ShA"}},
		{"other_port_other_connection", `0 > S 0 0
			1 > S 0 0 from=40001`, []string{"0 S0 S", "1 S0 S"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, play(t, tt.script, nil).conns); diff != "" {
				t.Errorf("connections (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRoles(t *testing.T) {
	for _, tt := range []struct {
		name, script, client string
		known                bool
	}{
		{"syn", `0 < S 0 0`, "10.0.0.2:443", true},
		{"syn_ack", `0 < SA 0 1`, "10.0.0.1:40000", true},
		{"well_known_port", `0 < A 7 1 len=9`, "10.0.0.1:40000", false},
		{"no_clue", `0 < A 7 1 len=9 from=443`, "10.0.0.2:443", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			only(t, tt.script, func(_ *flow.Table, c *flow.Conn) {
				if got := c.ClientAddr().String(); got != tt.client || c.ClientKnown != tt.known {
					t.Errorf("client = %s, known %v; want %s, %v", got, c.ClientKnown, tt.client, tt.known)
				}
			})
		})
	}
}

// TestLatency has the four classic cases of a slow connection.
func TestLatency(t *testing.T) {
	ms := time.Millisecond
	for _, tt := range []struct {
		name, script string
		want         flow.Latency
		think        time.Duration // of the server
	}{
		{"nothing_slow", `
			0  > S 0 0
			30 < SA 500 1
			31 > A 1 501
			32 > A 1 501 len=200
			62 < A 501 201
			64 < A 501 201 len=500`,
			flow.Latency{Handshake: 31 * ms, ServerPart: 30 * ms, ClientPart: ms, ClientThink: ms}, 32 * ms},
		{"slow_wire", `
			0   > S 0 0
			800 < SA 500 1
			801 > A 1 501
			802 > A 1 501 len=200
			1600 < A 501 201
			1602 < A 501 201 len=500`,
			flow.Latency{Handshake: 801 * ms, ServerPart: 800 * ms, ClientPart: ms, ClientThink: ms}, 800 * ms},
		{"slow_client", `
			0  > S 0 0
			30 < SA 500 1
			31 > A 1 501
			1331 > A 1 501 len=200
			1363 < A 501 201 len=500`,
			flow.Latency{Handshake: 31 * ms, ServerPart: 30 * ms, ClientPart: ms, ClientThink: 1300 * ms}, 32 * ms},
		{"slow_server", `
			0  > S 0 0
			30 < SA 500 1
			31 > A 1 501
			32 > A 1 501 len=200
			62 < A 501 201
			1032 < A 501 201 len=500`,
			flow.Latency{Handshake: 31 * ms, ServerPart: 30 * ms, ClientPart: ms, ClientThink: ms}, time.Second},
		{"syn_lost", `
			0    > S 0 0
			1000 > S 0 0
			1030 < SA 500 1
			1031 > A 1 501`,
			flow.Latency{Handshake: 1031 * ms, ServerPart: 30 * ms, ClientPart: ms}, 0},
		{"captured_at_the_server_which_speaks_first", `
			0  > S 0 0
			1  < SA 500 1
			40 > A 1 501
			45 < A 501 1 len=20`,
			flow.Latency{Handshake: 40 * ms, ServerPart: ms, ClientPart: 39 * ms, NearServer: true, ServerGreeting: 5 * ms}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			only(t, tt.script, func(_ *flow.Table, c *flow.Conn) {
				if diff := cmp.Diff(tt.want, c.Latency()); diff != "" {
					t.Errorf("Latency (-want +got):\n%s", diff)
				}
				if got := c.Server().Talk().MaxAnswer.Took(); got != tt.think {
					t.Errorf("server thought %v, want %v", got, tt.think)
				}
			})
		})
	}
}

func TestTalk(t *testing.T) {
	only(t, handshake+`
		20 > A 1 501 len=100
		40 < A 501 101 len=1400
		41 < A 1901 101 len=900
		51 > A 101 2801
		60 > A 101 2801 len=50
		80 < A 2801 151
		760 < A 2801 151 len=10
		770 > A 151 2811
		780 > A 151 2811 len=70
		`, func(_ *flow.Table, c *flow.Conn) {
		talk := c.Server().Talk()
		want := flow.Exchange{Asked: moment(60, 8), Acked: moment(80, 9), Answered: moment(760, 10), Question: 50, Answer: 10}
		if talk.Answers != 2 || talk.FirstAnswer.Took() != 20*time.Millisecond || talk.MaxAnswer != want || talk.MaxSegment != 1400 {
			t.Errorf("server's talk = %+v", talk)
		}
		if got, ok := c.Unanswered(); !ok || got != moment(780, 12) {
			t.Errorf("Unanswered = %v, %v", got, ok)
		}
		if got := c.Outstanding(client); got != 70 {
			t.Errorf("Outstanding = %d, want 70", got)
		}
		rtt := flow.Summary{N: 2, Min: 10 * time.Millisecond, Median: 10 * time.Millisecond, Max: 10 * time.Millisecond}
		if diff := cmp.Diff(rtt, c.Server().AckRTT()); diff != "" {
			t.Errorf("AckRTT (-want +got):\n%s", diff)
		}
	})
}

func moment(ms, frame int64) flow.Moment {
	return flow.Moment{Time: epoch + 1e6*timestamp(ms), Frame: frame}
}

func TestZeroWindow(t *testing.T) {
	only(t, handshake+`
		100 < A 501 1 win=0
		200 > A 1 501 len=1
		201 < A 501 1 win=0
		600 < A 501 1 win=900
		700 < A 501 1 win=0
		1000 > A 1 501 len=1
		`, func(_ *flow.Table, c *flow.Conn) {
		s := c.Server()
		if got := s.Trouble(); got.ZeroWindowFor != 800*time.Millisecond || got.ZeroWindow != moment(100, 4) {
			t.Errorf("zero window for %v from %v, want 800ms", got.ZeroWindowFor, got.ZeroWindow)
		}
		if s.MinWindow != 0 || s.MaxWindow != 900 || s.Count(flow.ZeroWindow) != 3 {
			t.Errorf("window %d to %d, %d times zero", s.MinWindow, s.MaxWindow, s.Count(flow.ZeroWindow))
		}
	})
}

// TestBreak tells a connection that was dropped while idle from others.
func TestBreak(t *testing.T) {
	const worked = handshake + `
		20 > A 1 501 len=100
		30 < A 501 101 len=100
		31 > A 101 601
		`
	for _, tt := range []struct {
		name, script string
		silence      time.Duration
		again        uint32
		reset        bool
	}{
		{"sends_into_the_void", worked + `
			240031 > A 101 601 len=10
			240331 > A 101 601 len=10
			240931 > A 101 601 len=10`, 240 * time.Second, 2, false},
		{"reset_at_the_next_packet", worked + `
			240031 > A 101 601 len=10
			240032 < R 601 0`, 240 * time.Second, 0, true},
		{"reset_out_of_the_blue", worked + `
			240031 < R 601 0`, 240 * time.Second, 0, true},
		{"keep_alives_go_unanswered", worked + `
			60031 > A 100 601
			61031 > A 100 601`, 60 * time.Second, 1, false},
		{"goes_on", worked + `
			240031 > A 101 601 len=10
			240040 < A 601 111 len=10`, 0, 0, false},
		{"goes_on_after_a_loss", worked + `
			240031 > A 101 601 len=10
			240331 > A 101 601 len=10
			240340 < A 601 111 len=10`, 0, 0, false},
		{"loss_is_no_silence", worked + `
			32 > A 101 601 len=10
			3032 > A 101 601 len=10
			9032 > A 101 601 len=10`, 0, 0, false},
		{"closed_by_then", worked + `
			32 > FA 101 601
			33 < FA 601 102
			34 > A 102 602
			60034 < R 602 0`, 0, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			only(t, tt.script, func(_ *flow.Table, c *flow.Conn) {
				b := c.Break()
				if b.Silence() != tt.silence || b.Retransmissions != tt.again || b.Reset.Seen() != tt.reset {
					t.Errorf("Break() = %+v (%v), want %v, %d retransmissions, reset %v", b, b.Silence(), tt.silence, tt.again, tt.reset)
				}
			})
		})
	}
}

// TestStall has the mark of a path MTU black hole: small segments arrive,
// large ones do not, until the sender tries smaller ones.
func TestStall(t *testing.T) {
	only(t, handshake+`
		20 > A 1 501 len=300
		30 < A 501 301
		40 > A 301 501 len=1460
		41 > A 1761 501 len=1460
		42 > A 3221 501 len=80
		52 < A 501 301 sack
		300 > A 301 501 len=1460
		900 > A 301 501 len=1460
		2100 > A 301 501 len=1460
		4500 > A 301 501 len=1200
		4510 < A 501 1501
		`, func(_ *flow.Table, c *flow.Conn) {
		want := flow.Stall{Size: 1460, Count: 3, First: moment(300, 10), Last: moment(2100, 12), ShrunkTo: 1200, SACKs: 1, Recovered: moment(4510, 14)}
		if diff := cmp.Diff(want, c.Client().Trouble().Stall); diff != "" {
			t.Errorf("Stall (-want +got):\n%s", diff)
		}
		if talk := c.Client().Talk(); talk.LargestAcked != 300 || talk.MaxSegment != 1460 {
			t.Errorf("largest acknowledged %d of %d, want 300 of 1460", talk.LargestAcked, talk.MaxSegment)
		}
	})
}

func TestEvents(t *testing.T) {
	only(t, handshake+`
		20 > A 1 501 len=100
		300 > A 1 501 len=100
		310 < A 501 101 len=10
		320 > FA 101 511
		330 < R 511 0
		`, func(table *flow.Table, c *flow.Conn) {
		table.Note(c, server, moment(310, 6), "ServerHello")
		var got []string
		for _, e := range table.Events(c) {
			got = append(got, e.String())
		}
		want := []string{"SYN", "SYN-ACK", "ACK", "first payload", "retransmission", "first payload", "ServerHello", "FIN", "RST"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}
