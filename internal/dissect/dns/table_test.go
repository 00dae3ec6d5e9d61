package dns

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

var (
	clientAddr = netip.MustParseAddr("10.0.0.5")
	first      = netip.MustParseAddrPort("10.0.0.4:53")
	second     = netip.MustParseAddrPort("10.0.0.6:53")
)

// build makes a message with an independent encoder.
func build(t testing.TB, m dnsmessage.Message) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func question(name string) []dnsmessage.Question {
	return []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}
}

func query(t testing.TB, id uint16, name string) []byte {
	return build(t, dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: question(name)})
}

func reply(t testing.TB, id uint16, name string, code dnsmessage.RCode, truncated bool) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, Response: true, RCode: code, Truncated: truncated}, Questions: question(name)}
	if code == dnsmessage.RCodeSuccess && !truncated {
		alias := dnsmessage.MustNewName("Real.Example.")
		m.Answers = []dnsmessage.Resource{
			{Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET}, Body: &dnsmessage.CNAMEResource{CNAME: alias}},
			{Header: dnsmessage.ResourceHeader{Name: alias, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}},
			{Header: dnsmessage.ResourceHeader{Name: alias, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8::1").As16()}},
		}
	}
	return build(t, m)
}

// talker feeds a table; every message is a frame.
type talker struct {
	t            testing.TB
	table        *Table
	frame        int64
	now          time.Duration
	transactions []Transaction
	lookups      []Lookup
}

func newTalker(t testing.TB, limits Limits) *talker {
	k := &talker{t: t, table: NewTable(limits)}
	k.table.Transaction = func(x *Transaction) {
		c := *x
		c.QueryFrames = append([]int64(nil), x.QueryFrames...)
		c.Addresses = append([]netip.Addr(nil), x.Addresses...)
		k.transactions = append(k.transactions, c)
	}
	k.table.Lookup = func(l *Lookup) {
		c := *l
		c.Tries = append([]Try(nil), l.Tries...)
		k.lookups = append(k.lookups, c)
	}
	return k
}

func (k *talker) stamp() pcap.Timestamp { return pcap.Timestamp(1e18) + pcap.Timestamp(k.now) }

func (k *talker) ask(at time.Duration, port uint16, server netip.AddrPort, id uint16, name string) {
	k.frame++
	k.now = at
	k.table.Message(netip.AddrPortFrom(clientAddr, port), server, false, k.stamp(), k.frame, query(k.t, id, name), true)
}

func (k *talker) answer(at time.Duration, port uint16, server netip.AddrPort, id uint16, name string, code dnsmessage.RCode) {
	k.frame++
	k.now = at
	k.table.Message(server, netip.AddrPortFrom(clientAddr, port), false, k.stamp(), k.frame, reply(k.t, id, name, code, false), true)
}

func (k *talker) finish(at time.Duration) Counters {
	k.now = at
	k.table.Finish(k.stamp())
	return k.table.Counters()
}

const ms = time.Millisecond

func TestTransaction(t *testing.T) {
	k := newTalker(t, Limits{})
	k.ask(0, 4000, first, 7, "WWW.Example.")
	k.ask(1000*ms, 4000, first, 7, "www.example.")
	k.answer(1250*ms, 4000, first, 7, "www.example.", dnsmessage.RCodeSuccess)
	k.answer(1260*ms, 4000, first, 7, "www.example.", dnsmessage.RCodeSuccess)
	got := k.finish(10 * time.Second)

	want := Counters{
		Queries: 2, Responses: 2, RCodes: map[string]int{"0": 2}, RetransmittedQueries: 1, RetransmittedResponses: 1,
		Time: &Times{N: 1, Median: 1250, Max: 1250},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	start := pcap.Timestamp(1e18)
	wantTx := []Transaction{{
		Client: netip.AddrPortFrom(clientAddr, 4000), Server: first, ID: 7, Name: "www.example", Type: TypeA,
		First: start, Last: start + pcap.Timestamp(time.Second), Queries: 2, QueryFrames: []int64{1, 2},
		Answered: true, AnswerTime: start + pcap.Timestamp(1250*ms), AnswerFrame: 3, CNAME: "real.example",
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
	}}
	if diff := cmp.Diff(wantTx, k.transactions, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("transactions (-want +got):\n%s", diff)
	}
	if l := k.transactions[0].Latency(); l != 1250*ms {
		t.Errorf("latency = %v, want 1.25s", l)
	}
}

// The figures are what tshark 4.0.17 makes of the same packets.
func TestCountersAsTshark(t *testing.T) {
	tests := []struct {
		name string
		talk func(k *talker)
		want Counters
	}{
		{
			name: "five_seconds_make_a_new_transaction",
			talk: func(k *talker) {
				k.ask(0, 4000, first, 7, "a.")
				k.ask(4999*ms, 4000, first, 7, "a.") // again
				k.ask(5000*ms, 4000, first, 7, "a.") // new
				k.ask(9900*ms, 4000, first, 7, "a.") // again
			},
			want: Counters{Queries: 4, RetransmittedQueries: 2, UnansweredTransactions: 1, UnansweredQueryPackets: 4},
		},
		{
			name: "id_used_again_after_the_answer",
			talk: func(k *talker) {
				k.ask(0, 4000, first, 7, "a.")
				k.answer(ms, 4000, first, 7, "a.", dnsmessage.RCodeSuccess)
				k.ask(2*ms, 4000, first, 7, "b.")
			},
			want: Counters{Queries: 2, Responses: 1, RCodes: map[string]int{"0": 1}, Time: &Times{N: 1, Median: 1, Max: 1}},
		},
		{
			name: "answer_without_question",
			talk: func(k *talker) {
				k.answer(0, 4000, first, 7, "a.", dnsmessage.RCodeNameError)
				k.answer(ms, 4000, first, 7, "a.", dnsmessage.RCodeNameError)
			},
			want: Counters{Responses: 2, RCodes: map[string]int{"3": 2}, RCodeNonzero: 2},
		},
		{
			name: "cut_answer_ends_the_transaction_without_a_time",
			talk: func(k *talker) {
				k.ask(0, 4000, first, 7, "a.")
				b := reply(k.t, 7, "a.", dnsmessage.RCodeSuccess, false)
				k.table.Message(first, netip.AddrPortFrom(clientAddr, 4000), false, k.stamp(), 2, b[:len(b)-5], true)
				k.answer(ms, 4000, first, 7, "a.", dnsmessage.RCodeSuccess)
			},
			want: Counters{Queries: 1, Responses: 2, RCodes: map[string]int{"0": 2}, RetransmittedResponses: 1},
		},
		{
			name: "cut_question_begins_a_transaction",
			talk: func(k *talker) {
				b := query(k.t, 7, "a.")
				k.table.Message(netip.AddrPortFrom(clientAddr, 4000), first, false, k.stamp(), 1, b[:11], true)
				k.answer(ms, 4000, first, 7, "a.", dnsmessage.RCodeSuccess)
			},
			want: Counters{Queries: 1, Responses: 1, RCodes: map[string]int{"0": 1}, Time: &Times{N: 1, Median: 1, Max: 1}},
		},
		{
			name: "port_tells_transactions_apart",
			talk: func(k *talker) {
				k.ask(0, 4000, first, 7, "a.")
				k.ask(ms, 4001, first, 7, "a.")
				k.answer(2*ms, 4001, first, 7, "a.", dnsmessage.RCodeServerFailure)
			},
			want: Counters{
				Queries: 2, Responses: 1, RCodes: map[string]int{"2": 1}, RCodeNonzero: 1,
				UnansweredTransactions: 1, UnansweredQueryPackets: 1, Time: &Times{N: 1, Median: 1, Max: 1},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := newTalker(t, Limits{})
			tt.talk(k)
			if tt.want.RCodes == nil {
				tt.want.RCodes = map[string]int{}
			}
			if diff := cmp.Diff(tt.want, k.finish(20*time.Second)); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFallback(t *testing.T) {
	k := newTalker(t, Limits{})
	k.ask(0, 4000, first, 1, "db.corp.example.")
	k.ask(5*time.Second, 4001, second, 2, "db.corp.example.")
	k.answer(5003*ms, 4001, second, 2, "db.corp.example.", dnsmessage.RCodeSuccess)
	k.finish(30 * time.Second)
	if len(k.lookups) != 1 || k.lookups[0].Transactions != 2 {
		t.Fatalf("lookups = %+v, want one with two transactions", k.lookups)
	}
	failed, answered, ok := k.lookups[0].Fallback()
	if !ok || failed.Server != first || answered.Server != second || answered.Answer.Sub(failed.Asked) != 5003*ms {
		t.Errorf("fallback = %+v, %+v, %v, want from %v to %v after 5.003 s", failed, answered, ok, first, second)
	}
}

func TestNoFallback(t *testing.T) {
	tests := []struct {
		name string
		talk func(k *talker)
	}{
		{"both_asked_at_once_and_both_answer", func(k *talker) {
			k.ask(0, 4000, first, 1, "a.")
			k.ask(ms, 4001, second, 2, "a.")
			k.answer(2*ms, 4001, second, 2, "a.", dnsmessage.RCodeSuccess)
			k.answer(9*ms, 4000, first, 1, "a.", dnsmessage.RCodeSuccess)
		}},
		{"the_name_does_not_exist", func(k *talker) {
			k.ask(0, 4000, first, 1, "a.")
			k.answer(ms, 4000, first, 1, "a.", dnsmessage.RCodeNameError)
			k.ask(2*ms, 4001, second, 2, "a.")
			k.answer(3*ms, 4001, second, 2, "a.", dnsmessage.RCodeSuccess)
		}},
		{"sixteen_seconds_between", func(k *talker) {
			k.ask(0, 4000, first, 1, "a.")
			k.ask(16*time.Second, 4001, second, 2, "a.")
			k.answer(16001*ms, 4001, second, 2, "a.", dnsmessage.RCodeSuccess)
		}},
		{"the_first_server_may_still_answer", func(k *talker) {
			k.ask(0, 4000, first, 1, "a.")
			k.ask(ms, 4001, second, 2, "a.")
			k.answer(2*ms, 4001, second, 2, "a.", dnsmessage.RCodeSuccess)
			k.finish(3 * ms)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := newTalker(t, Limits{})
			tt.talk(k)
			k.finish(60 * time.Second)
			for _, l := range k.lookups {
				if failed, answered, ok := l.Fallback(); ok {
					t.Errorf("fallback from %+v to %+v", failed, answered)
				}
			}
		})
	}
}

func TestResolvers(t *testing.T) {
	k := newTalker(t, Limits{})
	for i := range 4 {
		at := time.Duration(i) * time.Second
		k.ask(at, 4000+uint16(i), first, 1, "a.")
		k.ask(at, 5000+uint16(i), second, 1, "a.")
		k.answer(at+time.Duration(1+i*i*i*10)*ms, 5000+uint16(i), second, 1, "a.", dnsmessage.RCodeSuccess)
	}
	k.table.Unreachable(netip.AddrPortFrom(clientAddr, 4001), first, 99)
	k.finish(20 * time.Second)
	got := k.table.Resolvers()
	if len(got) != 2 {
		t.Fatalf("resolvers = %+v, want two", got)
	}
	dead, live := got[0], got[1]
	if dead.Server != first.Addr() || !dead.Dead() || dead.Unanswered != 4 || dead.Unreachable != 1 || len(dead.Frames) != 4 {
		t.Errorf("%+v, want it dead after four questions and one ICMP error", dead)
	}
	if live.Dead() || live.Answered != 4 || live.Median != 46*ms || live.Max != 271*ms || live.Slow != 0 || live.Clients != 1 {
		t.Errorf("%+v, want it alive, with a median of 46 ms", live)
	}
	var unreachable []int64
	for _, x := range k.transactions {
		if x.Unreachable != 0 {
			unreachable = append(unreachable, int64(x.Client.Port()), x.Unreachable)
		}
	}
	if diff := cmp.Diff([]int64{4001, 99}, unreachable); diff != "" {
		t.Errorf("quoted query (-want +got):\n%s", diff)
	}
}

// One question that is asked again and again shows a dead server as well.
func TestDeadAfterRetries(t *testing.T) {
	k := newTalker(t, Limits{})
	for i := range 3 {
		k.ask(time.Duration(i)*time.Second, 4000, first, 1, "a.")
	}
	k.finish(20 * time.Second)
	if r := k.table.Resolvers()[0]; !r.Dead() || r.Queries != 3 || r.Asked != 1 {
		t.Errorf("%+v, want it dead after one question in three packets", r)
	}
}

func TestUndecided(t *testing.T) {
	k := newTalker(t, Limits{})
	k.ask(0, 4000, first, 1, "a.")
	k.ask(6*time.Second, 4001, first, 2, "b.")
	k.finish(10 * time.Second)
	if len(k.transactions) != 2 || k.transactions[0].Undecided || !k.transactions[1].Undecided {
		t.Errorf("transactions = %+v, want the second one undecided", k.transactions)
	}
	if k.transactions[1].Failed() || !k.transactions[0].Failed() {
		t.Error("undecided is not failed, unanswered is")
	}
}

func TestSearchSuffixAndMissing(t *testing.T) {
	k := newTalker(t, Limits{})
	at := time.Duration(0)
	ask := func(name string, code dnsmessage.RCode) {
		k.ask(at, 4000, first, uint16(at/ms)+1, name)
		k.answer(at+ms, 4000, first, uint16(at/ms)+1, name, code)
		at += 10 * ms
	}
	ask("db.eu.corp.example.", dnsmessage.RCodeNameError)
	ask("db.corp.example.", dnsmessage.RCodeNameError)
	ask("db.", dnsmessage.RCodeSuccess)
	for range 3 {
		at += 3 * time.Second
		ask("gone.example.", dnsmessage.RCodeNameError)
	}
	k.finish(60 * time.Second)
	type line struct {
		Name    string
		Search  bool
		Missing int
	}
	var got []line
	for _, l := range k.lookups {
		got = append(got, line{l.Name, l.SearchSuffix, l.Missing})
	}
	want := []line{
		{"gone.example", false, 1}, {"gone.example", false, 2}, {"gone.example", false, 3},
		{"db.eu.corp.example", true, 0}, {"db.corp.example", true, 0}, {"db", false, 0},
	}
	if diff := cmp.Diff(want, got, cmp.Transformer("sort", func(l []line) map[string]int {
		m := map[string]int{}
		for _, x := range l {
			m[fmt.Sprint(x)]++
		}
		return m
	})); diff != "" {
		t.Errorf("lookups (-want +got):\n%s", diff)
	}
}

func TestTruncatedWithoutTCP(t *testing.T) {
	for _, overTCP := range []bool{false, true} {
		k := newTalker(t, Limits{})
		k.ask(0, 4000, first, 1, "big.")
		k.table.Message(first, netip.AddrPortFrom(clientAddr, 4000), false, k.stamp()+1e6, 2, reply(t, 1, "big.", dnsmessage.RCodeSuccess, true), true)
		if overTCP {
			client := netip.AddrPortFrom(clientAddr, 4100)
			s := k.table.NewStream(client, first)
			for i, side := range []stream.Side{stream.Client, stream.Server} {
				b := query(t, 2, "big.")
				if side == stream.Server {
					b = reply(t, 2, "big.", dnsmessage.RCodeSuccess, false)
				}
				b = append([]byte{byte(len(b) >> 8), byte(len(b))}, b...)
				for j := range b { // a byte at a time
					s.Feed(stream.Chunk{From: side, Time: k.stamp() + 2e6, Frame: int64(3 + i), Data: b[j : j+1]})
				}
			}
		}
		c := k.finish(20 * time.Second)
		if c.TruncatedResponses != 1 {
			t.Errorf("truncated responses = %d, want 1", c.TruncatedResponses)
		}
		if _, cut := k.lookups[0].TruncatedOnly(); cut == overTCP {
			t.Errorf("over TCP %v: truncated only = %v", overTCP, cut)
		}
	}
}

// What an attacker can make the table hold is bounded, and what it forgets is
// said.
func TestLimits(t *testing.T) {
	k := newTalker(t, Limits{Transactions: 100, Lookups: 10, Resolvers: 5})
	for i := range 1000 {
		k.ask(time.Duration(i)*ms, uint16(i), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 53), 1, fmt.Sprintf("n%d.", i))
	}
	if k.table.used != 100 || len(k.table.index) != 100 || len(k.table.lookups.open) != 10 || len(k.table.resolver) != 5 {
		t.Errorf("it holds %d transactions (%d), %d lookups, %d resolvers", k.table.used, len(k.table.index), len(k.table.lookups.open), len(k.table.resolver))
	}
	c := k.finish(20 * time.Second)
	if c.Queries != 1000 || c.UnansweredTransactions != 1000 || len(k.transactions) != 1000 || len(k.lookups) != 1000 {
		t.Errorf("%d queries, %d unanswered, %d transactions, %d lookups, want 1000 each", c.Queries, c.UnansweredTransactions, len(k.transactions), len(k.lookups))
	}
	if diff := cmp.Diff(Dropped{Transactions: 900, Lookups: 990, Resolvers: 995}, k.table.Dropped()); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
}

func TestNoAllocations(t *testing.T) {
	table := NewTable(Limits{Transactions: 64, Lookups: 64})
	client := netip.AddrPortFrom(clientAddr, 4000)
	var queries, replies [64][]byte
	for i := range queries {
		queries[i] = query(t, uint16(i), "www.example.")
		replies[i] = reply(t, uint16(i), "www.example.", dnsmessage.RCodeNameError, false)
	}
	i, at := 0, pcap.Timestamp(1e18)
	round := func() {
		table.Message(client, first, false, at, 1, queries[i%64], true)
		table.Message(first, client, false, at+1e6, 2, replies[i%64], true)
		i, at = i+1, at+10e6
	}
	for range 2000 {
		round()
	}
	// A new lookup each round, and so its name; the slices grow now and then.
	if n := testing.AllocsPerRun(1000, round); n > 1 {
		t.Errorf("%v allocations for a question and its answer, want at most the name", n)
	}
}
