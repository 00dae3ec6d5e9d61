package ledger

import (
	"fmt"
	"strings"
	"time"
)

// What Azure, a file system and a log line all bear, in bytes.
const (
	maxKey     = 512
	maxSegment = 200
)

// CheckKey says what is wrong with a key, for every [Store] in the same words.
func CheckKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("record key of %d bytes: at most %d", len(key), maxKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "":
			return fmt.Errorf("record key %q: empty segment", key)
		case len(segment) > maxSegment:
			return fmt.Errorf("record key %q: segment of %d bytes: at most %d", key, len(segment), maxSegment)
		case segment == ".", segment == "..":
			return fmt.Errorf("record key %q: segment %q", key, segment)
		case strings.Trim(segment, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "":
			return fmt.Errorf("record key %q: only a-z 0-9 . _ - and / are allowed", key)
		}
	}
	return nil
}

// CheckBody refuses a record that is larger than [MaxRecord].
func CheckBody(key string, body []byte) error {
	if len(body) > MaxRecord {
		return fmt.Errorf("record %q of %d bytes: at most %d", key, len(body), MaxRecord)
	}
	return nil
}

// CheckLease refuses a lease that the Blob service could not give: it lasts
// from 15 to 60 seconds.
// https://learn.microsoft.com/rest/api/storageservices/lease-blob
func CheckLease(d time.Duration) error {
	if d < 15*time.Second || d > time.Minute {
		return fmt.Errorf("lease of %v: 15s to 1m", d)
	}
	return nil
}
