package functionshost

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// value is what goes into Data for a binding, and how Metadata comes to it.
type value struct {
	data     json.RawMessage
	metadata metadata
}

// body is the invocation as posted.
func (v value) body(bindingName string) []byte {
	return jsonOf(struct {
		Data     map[string]json.RawMessage
		Metadata json.RawMessage
	}{map[string]json.RawMessage{bindingName: v.data}, v.metadata.json()})
}

// jsonOf marshals like Json.NET, which leaves <, > and & alone. The values are
// of this package: strings, maps and raw JSON.
func jsonOf(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("functionshost: encode %T: %v", v, err))
	}
	return bytes.TrimSpace(b.Bytes())
}

// doubled is what the host makes of all but objects, bytes and dates: a string
// that holds JSON.
func doubled(v any) json.RawMessage { return jsonOf(string(jsonOf(v))) }

// metadata is the host's dictionary: its keys have no case, and the last value
// wins, so that a payload can overwrite what the host says.
type metadata struct {
	names  []string
	values []json.RawMessage
}

func newMetadata(function string) metadata {
	var m metadata
	m.set("sys", jsonOf(map[string]string{
		"MethodName": function,
		"UtcNow":     time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z"),
		"RandGuid":   newGUID(),
	}))
	return m
}

func (m *metadata) set(name string, value json.RawMessage) {
	if strings.HasSuffix(strings.ToLower(name), "trigger") {
		return // the host drops these
	}
	for i, known := range m.names {
		if strings.EqualFold(known, name) {
			m.values[i] = value
			return
		}
	}
	m.names = append(m.names, name)
	m.values = append(m.values, value)
}

// merge copies the top-level properties of a JSON object, but for arrays, as
// the host does with payloads that are text. Any other payload has none.
func (m *metadata) merge(payload []byte) {
	properties, err := objectOf(payload)
	if err != nil {
		return
	}
	for _, p := range properties {
		switch c := p.value[0]; {
		case c == '{':
			if rewritten, err := reprint(p.value, false); err == nil {
				m.set(p.name, rewritten)
			}
		case c == '"':
			var text string
			if json.Unmarshal(p.value, &text) == nil {
				m.set(p.name, doubled(text))
			}
		case c == 't':
			m.set(p.name, doubled("True"))
		case c == 'f':
			m.set(p.name, doubled("False"))
		case c != '[' && c != 'n':
			m.set(p.name, doubled(string(p.value)))
		}
	}
}

func (m *metadata) json() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range m.names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(jsonOf(name))
		b.WriteByte(':')
		b.Write(m.values[i])
	}
	b.WriteByte('}')
	return b.Bytes()
}

// dated is a date in Metadata: to the second, and without the zone when the
// host has it as a UTC DateTime.
func dated(t time.Time, zone bool) json.RawMessage {
	if zone {
		return jsonOf(t.UTC().Format("2006-01-02T15:04:05+00:00"))
	}
	return jsonOf(t.UTC().Format("2006-01-02T15:04:05"))
}

// messageValue is a Service Bus message: with dataType binary the exact bytes
// in base64, else text in JSON in JSON.
func messageValue(f *function, d Delivery) value {
	v := value{metadata: newMetadata(f.name)}
	m := &v.metadata
	m.set("DeliveryCount", jsonOf(fmt.Sprint(d.DeliveryCount)))
	m.set("LockToken", doubled(newGUID()))
	m.set("EnqueuedTimeUtc", dated(d.Enqueued, false))
	m.set("EnqueuedTime", dated(d.Enqueued, true))
	m.set("MessageId", doubled(d.MessageID))
	m.set("ContentType", doubled(d.ContentType))
	m.set("SequenceNumber", jsonOf(fmt.Sprint(d.SequenceNumber)))
	if d.CorrelationID != "" {
		m.set("CorrelationId", doubled(d.CorrelationID))
	}
	if d.Subject != "" {
		m.set("Subject", doubled(d.Subject))
	}
	properties, err := json.Marshal(d.Properties)
	if err != nil || len(d.Properties) == 0 {
		properties = []byte("{}")
	}
	m.set("ApplicationProperties", properties)
	m.set("UserProperties", properties)
	if strings.EqualFold(f.trigger.DataType, "binary") {
		v.data = jsonOf(base64.StdEncoding.EncodeToString(d.Body))
		return v
	}
	text := strings.ToValidUTF8(string(d.Body), "\uFFFD")
	v.data = doubled(text)
	m.merge([]byte(text))
	return v
}

// eventValue is an event of Event Grid: an object, with the dates in it
// printed anew.
func eventValue(f *function, event []byte) (value, error) {
	data, err := reprint(event, false)
	if err != nil || data[0] != '{' {
		return value{}, fmt.Errorf("the event is no JSON object: %w", err)
	}
	v := value{data: data, metadata: newMetadata(f.name)}
	properties, err := objectOf(data)
	if err != nil {
		return value{}, err
	}
	for _, p := range properties {
		if p.name == "data" {
			v.metadata.set("data", p.value)
		}
	}
	return v, nil
}

type scheduleStatus struct{ last, next, updated time.Time }

// timerValue is an occurrence of a timer; status is nil without monitor.
func timerValue(f *function, status *scheduleStatus, pastDue bool) value {
	type statusJSON struct{ Last, Next, LastUpdated string }
	var timer struct {
		Schedule       struct{ AdjustForDST bool }
		ScheduleStatus *statusJSON
		IsPastDue      bool
	}
	timer.Schedule.AdjustForDST, timer.IsPastDue = true, pastDue
	if status != nil {
		timer.ScheduleStatus = &statusJSON{roundTrip(status.last), roundTrip(status.next), roundTrip(status.updated)}
	}
	return value{data: jsonOf(timer), metadata: newMetadata(f.name)}
}

// roundTrip is a DateTimeOffset as Json.NET prints it: seven digits at most.
func roundTrip(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.9999999+00:00") }

// newGUID is a random (version 4) UUID, RFC 9562.
func newGUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
