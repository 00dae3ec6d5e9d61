package incident

import "errors"

// The errors of a [Queue] that trying again does not mend.
var (
	ErrTooLarge = errors.New("message is too large for the queue")
	ErrNoQueue  = errors.New("queue does not exist or may not be used")
)
