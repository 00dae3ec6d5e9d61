package flow

// Counters are the totals over all TCP connections of a capture, as tshark
// 4.0.17 counts them; the names are part of the analysis format.
type Counters struct {
	Packets int64 `json:"packets"`
	Streams int64 `json:"streams"`

	Retransmission         int64 `json:"retransmission"` // with fast and spurious ones, as tshark's field
	FastRetransmission     int64 `json:"fast_retransmission"`
	SpuriousRetransmission int64 `json:"spurious_retransmission"`
	OutOfOrder             int64 `json:"out_of_order"`
	DuplicateAck           int64 `json:"duplicate_ack"`
	LostSegment            int64 `json:"lost_segment"`
	AckLostSegment         int64 `json:"ack_lost_segment"`
	ZeroWindow             int64 `json:"zero_window"`
	ZeroWindowProbe        int64 `json:"zero_window_probe"`
	ZeroWindowProbeAck     int64 `json:"zero_window_probe_ack"`
	WindowFull             int64 `json:"window_full"`
	WindowUpdate           int64 `json:"window_update"`
	KeepAlive              int64 `json:"keep_alive"`
	KeepAliveAck           int64 `json:"keep_alive_ack"`
	ReusedPorts            int64 `json:"reused_ports"`

	RSTPackets      int64            `json:"rst_packets"`
	StreamsWithRST  int64            `json:"streams_with_rst"`
	FirstRSTPhaseBy map[string]int64 `json:"first_rst_phase_by"` // "phase:sender" of the first RST of each stream

	SYNNoSYNACKStreams       int64 `json:"syn_no_synack_streams"`
	SYNNoReplyAtAllStreams   int64 `json:"syn_no_reply_at_all_streams"`
	SYNPacketsInUnanswered   int64 `json:"syn_packets_in_unanswered"`
	HandshakeCompleteStreams int64 `json:"handshake_complete_streams"`

	OneDirectionalStreams         int64 `json:"one_directional_streams"`
	MidstreamStreams              int64 `json:"midstream_streams"`
	OneDirectionalWithDataStreams int64 `json:"one_directional_with_data_streams"`

	IRTT   *Spread `json:"irtt_ms"`
	AckRTT *Spread `json:"ack_rtt_ms"`

	ClientHelloNoServerHelloStreams int64 `json:"client_hello_no_server_hello_streams"`
}

// A Spread summarises durations, in milliseconds. The median is that of a
// random sample once there are more than 8,192.
type Spread struct {
	N      int64   `json:"n"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}
