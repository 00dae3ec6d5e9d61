package flow_test

import "testing"

// TestJudge has a script for each rule of tshark's analysis; what is expected
// of the last packet is what tshark 4.0.17 says (see TestTshark).
func TestJudge(t *testing.T) {
	for _, tt := range judgeTests {
		t.Run(tt.name, func(t *testing.T) {
			got := play(t, tt.script, nil).classes
			if last := got[len(got)-1]; last != tt.want {
				t.Errorf("last of %q is %q, want %q", got, last, tt.want)
			}
		})
	}
}

var judgeTests = []struct {
	name, script, want string
}{
	{"nothing_to_say", handshake + `
			20 > A 1 501 len=100`, ""},
	{"retransmission_after_the_round_trip", `
			0 > A 100 1 len=50
			1 < A 1 100
			9 > A 100 1 len=50`, "retransmission resent"},
	{"out_of_order_within_3_ms", `
			0 > A 100 1 len=50
			1 > A 200 1 len=50
			3 > A 150 1 len=50`, "out-of-order late overtaken"},
	{"out_of_order_within_the_initial_round_trip", handshake + `
			20 > A 1 501 len=50
			21 > A 101 501 len=50
			29 > A 51 501 len=50`, "out-of-order late"},
	{"too_late_to_be_out_of_order", handshake + `
			20 > A 1 501 len=50
			21 > A 101 501 len=50
			32 > A 51 501 len=50`, "retransmission late"},
	{"the_last_segment_again_is_no_disorder", handshake + `
			20 > A 1 501 len=50
			21 > A 1 501 len=50`, "retransmission resent"},
	{"resent_within_the_round_trip", handshake + `
			20 > A 1 501 len=50
			21 > A 51 501 len=50
			22 > A 1 501 len=50`, "out-of-order resent"},
	{"overtaken_by_ip_identification", handshake + `
			20 > A 1 501 len=50 id=7
			21 > A 101 501 len=50 id=9
			22 > A 51 501 len=50 id=8`, "out-of-order late overtaken"},
	{"overtaken_because_nobody_resends_that_soon", handshake + `
			20 > A 1 501 len=50
			21 > A 101 501 len=50
			25 > A 51 501 len=50`, "out-of-order late overtaken"},
	{"sent_later_by_ip_identification", handshake + `
			20 > A 1 501 len=50 id=7
			21 > A 101 501 len=50 id=8
			22 > A 51 501 len=50 id=9`, "out-of-order late"},
	{"fast_after_two_duplicate_acks", handshake + `
			20 > A 1 501 len=50
			21 > A 101 501 len=50
			30 < A 501 51
			31 < A 501 51
			32 < A 501 51
			51 > A 51 501 len=50`, "fast late"},
	{"not_fast_20_ms_after_the_acks", handshake + `
			20 > A 1 501 len=50
			21 > A 101 501 len=50
			30 < A 501 51
			31 < A 501 51
			32 < A 501 51
			52 > A 51 501 len=50`, "retransmission late"},
	{"fast_by_the_mark_of_an_unseen_segment", handshake + `
			20 > A 1 501 len=50
			21 > A 51 501 len=50
			30 < A 501 51
			40 > A 51 700 len=50`, "fast ack-lost resent"},
	{"spurious", handshake + `
			20 > A 1 501 len=50
			30 < A 501 51
			40 > A 1 501 len=50`, "spurious resent"},
	{"syn_again", `
			0 > S 0 0
			1000 > S 0 0`, "retransmission"},
	{"lost_before", handshake + `
			20 > A 1 501 len=50
			21 > A 52 501 len=50`, "lost"},
	{"no_gap_before_a_rst", handshake + `
			20 > RA 900 501`, ""},
	{"acked_unseen", handshake + `
			20 > A 1 501 len=50
			30 < A 501 52`, "ack-lost"},
	{"acked_unseen_once", handshake + `
			20 > A 1 501 len=50
			30 < A 501 52
			31 < A 501 53 len=1`, ""},
	{"zero_window", handshake + `
			20 < A 501 1 win=0`, "zero-window"},
	{"zero_window_of_a_rst", handshake + `
			20 < RA 501 1 win=0`, ""},
	{"zero_window_probe", handshake + `
			20 < A 501 1 win=0
			30 > A 1 501 len=1`, "probe"},
	{"zero_window_probe_ack", handshake + `
			20 < A 501 1 win=0
			30 > A 1 501 len=1
			31 < A 501 1 win=0`, "zero-window probe-ack"},
	{"window_full_unscaled", `
			0 > S 0 0
			1 < SA 99 1
			2 > A 1 100
			3 < A 100 1 win=80
			4 > A 1 100 len=80`, "full"},
	{"window_full_scaled", `
			0 > S 0 0 ws=3
			1 < SA 99 1 ws=4
			2 > A 1 100
			3 < A 100 1 win=10
			4 > A 1 100 len=160`, "full"},
	{"window_of_a_syn_ack_is_not_scaled", `
			0 > S 0 0 ws=3
			1 < SA 99 1 ws=4 win=10
			2 > A 1 100
			4 > A 1 100 len=10`, "full"},
	{"no_window_full_without_handshake", `
			3 < A 100 1 win=80
			4 > A 1 100 len=80`, ""},
	{"scale_needs_both", `
			0 > S 0 0
			1 < SA 99 1 ws=4
			2 > A 1 100
			3 < A 100 1 win=10
			4 > A 1 100 len=10`, "full"},
	{"window_update", handshake + `
			20 < A 501 1 win=2000`, "update"},
	{"keep_alive", handshake + `
			20 > A 1 501 len=50
			21 < A 501 51
			9000 > A 50 501`, "keep-alive"},
	{"keep_alive_ack", handshake + `
			20 > A 1 501 len=50
			21 < A 501 51
			9000 > A 50 501 len=1
			9001 < A 501 51`, "keep-alive-ack"},
	{"byte_before_with_payload_is_not_old", handshake + `
			20 > A 1 501 len=50
			90 > A 50 501 len=50`, ""},
	{"duplicate_ack", handshake + `
			20 > A 1 501 len=50
			30 < A 501 51
			31 < A 501 51`, "dup-ack"},
	{"no_duplicate_ack_with_another_window", handshake + `
			20 > A 1 501 len=50
			30 < A 501 51
			31 < A 501 51 win=999`, "update"},
	{"reused_ports", handshake + `
			20 > R 1 501
			30 > S 77 501`, "reused"},
	{"another_syn_ack", handshake + `
			30 < SA 5000 1`, "lost reused"},
	{"captured_twice", `
			0   > A 100 1 len=50 id=4
			0.5 > A 100 1 len=50 id=4`, "retransmission duplicated"},
	{"sent_twice", `
			0   > A 100 1 len=50 id=4
			0.5 > A 100 1 len=50 id=5`, "retransmission resent"},
	{"backwards_in_time", `
			10 > A 100 1 len=50
			11 > A 200 1 len=50
			5  > A 150 1 len=50`, "retransmission late"},
	{"wraps_around", `
			0 > A 4294967290 1 len=10
			1 > A 4 1 len=10
			9 > A 4294967290 1 len=10`, "retransmission resent"},
}
