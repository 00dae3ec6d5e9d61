package incident

import (
	"fmt"
	"strings"
)

// Check says what is wrong with a message, for every [Queue] in the same
// words. The size is the queue's to judge.
// https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
func (m Message) Check() error {
	if !IsID(m.ID) {
		return fmt.Errorf("message id %q: want 1 to 128 of A-Z a-z 0-9 _ -", m.ID[:min(len(m.ID), 200)])
	}
	if len(m.CorrelationID) > 128 {
		return fmt.Errorf("correlation id of %d bytes: at most 128", len(m.CorrelationID))
	}
	if m.TimeToLive < 0 {
		return fmt.Errorf("time to live of %v: it is over before it is sent", m.TimeToLive)
	}
	total := 0
	for name, value := range m.Properties {
		if name == "" || len(value) > 32<<10 {
			return fmt.Errorf("property %q of %d bytes: at most 32 KiB, and a name", name, len(value))
		}
		total += len(name) + len(value)
	}
	if total > 64<<10 {
		return fmt.Errorf("properties of %d bytes: at most 64 KiB", total)
	}
	return nil
}

// IsID says whether id can be the ID of a message.
func IsID(id string) bool {
	return id != "" && len(id) <= 128 &&
		strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}
