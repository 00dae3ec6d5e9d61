package functionshost

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// notText is what the receiver gets of a string that the host took for base64.
const notText = "System.Byte[]"

// messagesOf is what the host sends to Service Bus for the value of an output:
// only an array of strings arrives as it was given.
func messagesOf(b binding, raw json.RawMessage) (messages []string, warnings []string) {
	warn := func(format string, args ...any) {
		warnings = append(warnings, fmt.Sprintf("output %q: ", b.Name)+fmt.Sprintf(format, args...))
	}
	if raw[0] == '"' {
		text := plain(raw)
		if !strings.EqualFold(b.DataType, "binary") && isBase64(text) {
			warn("the string is valid base64, and the receiver gets the text %q; give an array of strings", notText)
			return []string{notText}, warnings
		}
		trimmed := strings.TrimSpace(text)
		if trimmed == "" || trimmed[0] != '{' && trimmed[0] != '[' || !json.Valid([]byte(trimmed)) {
			return []string{dateText(text)}, warnings
		}
		raw = json.RawMessage(trimmed)
	}
	elements := []json.RawMessage{raw}
	if raw[0] == '[' {
		json.Unmarshal(raw, &elements) // valid: judged before
	}
	for _, e := range elements {
		switch e[0] {
		case 'n':
		case 't':
			messages = append(messages, "True")
		case 'f':
			messages = append(messages, "False")
		case '"':
			messages = append(messages, dateText(plain(e)))
		case '{', '[':
			printed, err := reprint(e, true)
			if err != nil {
				warn("%v", err)
				continue
			}
			warn("the host prints JSON anew, indented and with other dates; give an array of strings")
			messages = append(messages, string(printed))
		default:
			messages = append(messages, string(e))
		}
	}
	return messages, warnings
}

// isBase64 is Convert.FromBase64String, which skips white space.
func isBase64(text string) bool {
	text = strings.Join(strings.Fields(text), "")
	_, err := base64.StdEncoding.DecodeString(text)
	return err == nil
}

// dateText is what becomes of a string that looks like a date.
func dateText(text string) string {
	if t, _, ok := parseDate(text); ok {
		return t.Format("01/02/2006 15:04:05")
	}
	return text
}
