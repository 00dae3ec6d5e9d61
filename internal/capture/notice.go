package capture

import "context"

// A Notice tells a person, through the incident queue, what the program can't
// settle by itself. The same notice again is no second message.
type Notice struct {
	Kind   NoticeKind
	Case   Case // its ID is empty where the notice is about more than one
	Title  string
	Reason string // what happened, and what to do
}

// NoticeKind is what a [Notice] is about.
type NoticeKind string

// The kinds of notice.
const (
	Failure  NoticeKind = "failure"  // a capture will not come
	Approve  NoticeKind = "approval" // somebody has to agree
	Trouble  NoticeKind = "trouble"  // something has to be mended by hand
	Stranger NoticeKind = "stranger" // a capture that nobody here asked for
	Forgery  NoticeKind = "forgery"  // an alert that Azure Monitor did not raise
)

// Notify sends a notice.
type Notify func(ctx context.Context, n Notice) error
