package customhandler

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// maxTimer bounds a timer's value, and maxEvents a delivery of Event Grid (an
// event has at most 1 MB), in bytes of JSON.
const (
	maxTimer  = 64 << 10
	maxEvents = 2 << 20
)

// A Tick is one occurrence of a timer. An occurrence may come twice, late, or
// never.
type Tick struct {
	PastDue bool // the first call after a start that missed an occurrence

	// Status is nil for a timer without monitor and for one that fires more
	// than once a minute.
	Status *ScheduleStatus
}

// ScheduleStatus is what the host remembers of a timer. Its times have the
// host's offset, WEBSITE_TIME_ZONE or UTC.
type ScheduleStatus struct {
	Last        time.Time // year 1 before the first run
	Next        time.Time // the occurrence that runs now
	LastUpdated time.Time
}

// Timer is a function with a timerTrigger. An error that run returns fails the
// invocation: the retry policy of function.json repeats it, else it is over
// until the next occurrence.
func Timer(name string, run func(ctx context.Context, t Tick) error) Function {
	return Function{Name: name, limit: maxTimer, trigger: ByTimer, read: func(s *scanner) (call, error) {
		raw, err := s.raw(maxTimer)
		if err != nil {
			return nil, err
		}
		var timer struct {
			IsPastDue      *bool
			ScheduleStatus *ScheduleStatus
		}
		if err := json.Unmarshal(raw, &timer); err != nil {
			return nil, fmt.Errorf("read the timer: %w", err)
		}
		if timer.IsPastDue == nil {
			return nil, s.errorf("want a timer with IsPastDue; is the trigger a timerTrigger?")
		}
		tick := Tick{PastDue: *timer.IsPastDue, Status: timer.ScheduleStatus}
		return func(ctx context.Context, _ metadata) (*Response, error) { return nil, run(ctx, tick) }, nil
	}}
}

// A DataType is how function.json has the host encode a message.
type DataType int

const (
	Binary DataType = iota // "dataType": "binary": base64 of the exact bytes. Use this one.
	Text                   // no dataType: text in JSON in JSON, and Metadata mixed with the payload
)

// A Message is one message of a Service Bus queue. It is delivered at least
// once, in any order.
type Message struct {
	Body []byte

	// What Metadata says, for logs only: with Text the payload can overwrite
	// it. Zero when it says nothing sensible.
	ID            string
	DeliveryCount int
}

// ServiceBus is a function with a serviceBusTrigger of cardinality one.
//
// An error that handle returns fails the invocation: the message is delivered
// again, and dead-lettered after the queue's maximum. A custom handler has no
// other way to settle a message. One with more than limit bytes in its body
// goes the same way, so that a person finds it.
func ServiceBus(name string, dataType DataType, limit int64, handle func(ctx context.Context, m Message) error) Function {
	return Function{Name: name, limit: limit, trigger: ByMessage, read: func(s *scanner) (call, error) {
		body, err := readMessage(s, dataType, limit)
		if err == errTooLong {
			err = fmt.Errorf("%w: the body of a message may have %d bytes", err, limit)
		}
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, m metadata) (*Response, error) {
			return nil, handle(ctx, Message{Body: body, ID: m.messageID, DeliveryCount: m.deliveryCount})
		}, nil
	}}
}

func readMessage(s *scanner, dataType DataType, limit int64) ([]byte, error) {
	if dataType == Text {
		inner, err := s.text(6*limit + 2)
		if err != nil {
			return nil, err
		}
		in := scannerOf(inner)
		body, err := in.text(limit)
		if err == nil {
			err = in.end()
		}
		if err != nil && err != errTooLong {
			err = fmt.Errorf("the message is not text in JSON in JSON; function.json must not set a dataType: %w", err)
		}
		return body, err
	}
	text, err := s.text(int64(base64.StdEncoding.EncodedLen(int(limit))))
	if err != nil {
		return nil, err
	}
	body, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return nil, s.errorf(`the message is not base64; function.json must set "dataType": "binary"`)
	}
	if int64(len(body)) > limit {
		return nil, errTooLong
	}
	return body, nil
}

// EventGrid is a function with an eventGridTrigger, of either cardinality and
// schema. The host re-prints dates in events, so they are not byte for byte
// what the publisher sent. Event Grid waits 30 s for an answer.
func EventGrid(name string, handle func(ctx context.Context, events []json.RawMessage) error) Function {
	return Function{Name: name, limit: maxEvents, trigger: ByMessage, read: func(s *scanner) (call, error) {
		events, err := readEvents(s)
		if err == errTooLong {
			err = tooLarge(maxEvents)
		}
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, _ metadata) (*Response, error) { return nil, handle(ctx, events) }, nil
	}}
}

func readEvents(s *scanner) ([]json.RawMessage, error) {
	c, err := s.peek()
	if err != nil {
		return nil, err
	}
	if c == '{' {
		event, err := s.raw(maxEvents)
		return []json.RawMessage{event}, err
	}
	text, err := s.text(maxEvents)
	if err != nil {
		return nil, err
	}
	in := scannerOf(text)
	raw, err := in.raw(maxEvents)
	if err == nil {
		err = in.end()
	}
	var events []json.RawMessage
	if err == nil {
		err = json.Unmarshal(raw, &events)
	}
	if err != nil {
		return nil, fmt.Errorf("want an event, or an array of events in a string: %w", err)
	}
	for i, e := range events {
		if e[0] != '{' {
			return nil, s.errorf("event %d is not an object", i)
		}
	}
	return events, nil
}

// metadata is the little that is read of Metadata: for logs, never trusted.
type metadata struct {
	messageID     string
	deliveryCount int
}

func (m *metadata) read(s *scanner) error {
	return s.object(func(key string) error {
		if key != "MessageId" && key != "DeliveryCount" {
			return s.skip()
		}
		// A payload can put anything here.
		if c, err := s.peek(); err != nil || c != '"' {
			return s.skip()
		}
		var text []rune
		if err := s.str(func(r rune) error {
			if len(text) <= 256 {
				text = append(text, r)
			}
			return nil
		}); err != nil {
			return err
		}
		if key == "DeliveryCount" {
			m.deliveryCount, _ = strconv.Atoi(string(text))
			m.deliveryCount = max(m.deliveryCount, 0)
			return nil
		}
		m.messageID = messageID(string(text))
		return nil
	})
}

// messageID undoes the second encoding of an id, and drops what is no plain
// one of at most 128 characters, the limit of Service Bus.
func messageID(text string) string {
	var id string
	if json.Unmarshal([]byte(text), &id) != nil || len(id) > 128 {
		return ""
	}
	for _, c := range []byte(id) {
		if c < 0x21 || c > 0x7e {
			return ""
		}
	}
	return id
}
