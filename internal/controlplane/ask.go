package controlplane

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Within is how long everything together may take, if nobody says otherwise.
// Azure's answers are long-running operations of ten seconds and more.
const Within = 30 * time.Second

// atOnce is how many questions are asked at the same time.
const atOnce = 6

// An Inquiry is what to ask about one capture.
type Inquiry struct {
	Subject   Subject
	Seen      []Seen       // the deciding flows, the most telling first
	Addresses []netip.Addr // others that should get names
	Within    time.Duration
	Now       func() time.Time
}

// Ask asks the source about the flows, and judges them. It always returns a
// Context, after the given time at the latest, and what it could not learn is
// among its gaps. It asks about flows whose one end is an address of the
// subject's own network interfaces, and about no others: which addresses are
// in a capture is the choice of whoever sent the packets.
func Ask(ctx context.Context, src Source, q Inquiry) *Context {
	if q.Now == nil {
		q.Now = time.Now
	}
	if q.Within <= 0 {
		q.Within = Within
	}
	began := q.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, q.Within, fmt.Errorf("no answer within %v", q.Within))
	defer cancel()
	c := &Context{Machine: Harmless(q.Subject.ID), Asked: began.UTC().Truncate(time.Second), Flows: []Flow{}, Names: []Name{}, Gaps: []Gap{}}
	i := &inquirer{source: src, subject: q.Subject, context: c}
	i.learn(ctx)
	i.choose(q.Seen)
	i.pose(ctx, q.Addresses)
	i.conclude(q.Addresses)
	c.Took = q.Now().Sub(began)
	return c
}

// inquirer is one inquiry.
type inquirer struct {
	source  Source
	subject Subject
	context *Context

	interfaces []Interface
	flows      []flow

	mu     sync.Mutex // guards what follows, and the answers in flows
	stop   error      // nothing else is asked
	denied map[string]bool
	names  []Name
	tags   []Name
	listed bool // the names are complete, as far as they may be read
	rules  map[string][]Rule
}

// flow is one that is asked about.
type flow struct {
	Seen
	question Question
	access   *Access
	hop      *Hop
}

// learn finds out which addresses are the machine's own.
func (i *inquirer) learn(ctx context.Context) {
	i.denied, i.rules = map[string]bool{}, map[string][]Rule{}
	found, err := i.source.Interfaces(ctx, i.subject)
	if err != nil {
		i.miss("network interfaces of the machine", "", err)
	}
	i.interfaces = found
	if len(found) == 0 && len(i.subject.Addresses) > 0 {
		i.interfaces = []Interface{{Addresses: i.subject.Addresses}}
	}
	if len(i.interfaces) == 0 && err == nil {
		i.gap("network interfaces of the machine", "it has none")
	}
}

// own returns the interface that has the address.
func (i *inquirer) own(a netip.Addr) (Interface, bool) {
	for _, nic := range i.interfaces {
		if slices.Contains(nic.Addresses, a) {
			return nic, true
		}
	}
	return Interface{}, false
}

// choose picks the flows that may be asked about.
func (i *inquirer) choose(seen []Seen) {
	foreign, left := 0, 0
	for _, s := range seen {
		q, ok := i.place(s)
		if !ok {
			foreign++
			continue
		}
		if len(i.flows) == MaxFlows {
			left++
			continue
		}
		i.flows = append(i.flows, flow{Seen: s, question: q})
	}
	if foreign > 0 && len(i.interfaces) > 0 {
		i.gap(fmt.Sprintf("%d flows", foreign), "neither end is an address of the machine's network interfaces, so they are not asked about")
	}
	if left > 0 {
		i.gap(fmt.Sprintf("%d more flows", left), fmt.Sprintf("at most %d are asked about", MaxFlows))
	}
}

// place says from where the machine sees a flow.
func (i *inquirer) place(s Seen) (Question, bool) {
	q := Question{Subject: i.subject, Protocol: s.Flow.Protocol}
	client, server := s.Flow.Client.AddrPort, s.Flow.Server.AddrPort
	mine, isClient := i.own(client.Addr())
	its, isServer := i.own(server.Addr())
	switch {
	case isClient == isServer: // of others, or with itself
		return q, false
	case isClient:
		q.Interface, q.Direction, q.Local, q.Remote = mine, Outbound, client, server
	default:
		q.Interface, q.Direction, q.Local, q.Remote = its, Inbound, server, client
	}
	return q, true
}

// unaskable says why no rule applies to a flow, or "".
func unaskable(q Question) string {
	a := q.Remote.Addr()
	_, platform := wellKnown(a)
	server := q.Remote
	if q.Direction == Inbound {
		server = q.Local
	}
	switch {
	case !a.Is4() || !q.Local.Addr().Is4():
		return "Network Watcher answers for IPv4 alone"
	case platform:
		return "Azure's own addresses are reached past routes and most rules"
	case a.IsMulticast(), a.IsUnspecified(), a.IsLoopback(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}), a.IsLinkLocalUnicast():
		return "the remote address is none that is routed"
	case q.Protocol != "icmp" && server.Port() == 0:
		return "it is about many ports"
	case q.Protocol != "tcp" && q.Protocol != "udp" && q.Protocol != "icmp":
		return "rules know TCP, UDP and ICMP"
	}
	return ""
}

// pose asks everything, in the order of the flows, a few at a time.
func (i *inquirer) pose(ctx context.Context, addrs []netip.Addr) {
	type task struct {
		question string // of which kind
		about    string
		ask      func() error
	}
	var tasks []task
	for n := range i.flows {
		f := &i.flows[n]
		about := fmt.Sprintf("%v to %v", f.Flow.Client, f.Flow.Server)
		if why := unaskable(f.question); why != "" {
			i.gap("rules for "+about, why)
			continue
		}
		tasks = append(tasks, task{"access", about, func() error {
			a, err := i.source.Access(ctx, f.question)
			if err == nil {
				a.Rule, a.Group = Harmless(a.Rule), Harmless(a.Group)
				i.mu.Lock()
				f.access = &a
				i.mu.Unlock()
			}
			return err
		}}, task{"next hop", about, func() error {
			h, err := i.source.NextHop(ctx, f.question)
			if err == nil {
				h.Type, h.RouteTable = Harmless(h.Type), Harmless(h.RouteTable)
				i.mu.Lock()
				f.hop = &h
				i.mu.Unlock()
			}
			return err
		}})
		id := f.question.Interface.ID
		if _, asked := i.rules[id]; id != "" && !asked {
			i.rules[id] = nil
			tasks = append(tasks, task{"effective security rules", id, func() error {
				all, err := i.source.Rules(ctx, i.subject, id)
				i.mu.Lock()
				i.rules[id] = all
				i.mu.Unlock()
				return err
			}})
		}
	}
	public := i.public(addrs)
	if len(i.flows)+len(addrs) > 0 {
		tasks = append(tasks, task{"names of addresses", "", func() error {
			names, err := i.source.Names(ctx, i.subject, i.interfaces)
			i.mu.Lock()
			i.names, i.listed = names, err == nil
			i.mu.Unlock()
			return err
		}})
	}
	if len(public) > 0 {
		tasks = append(tasks, task{"service tags", "", func() error {
			tags, err := i.source.Tags(ctx, i.subject, public)
			i.mu.Lock()
			i.tags = tags
			i.mu.Unlock()
			return err
		}})
	}
	queue := make(chan task, len(tasks))
	for _, t := range tasks {
		queue <- t
	}
	close(queue)
	var wg sync.WaitGroup
	for range min(atOnce, len(tasks)) {
		wg.Go(func() {
			for t := range queue {
				err := i.refusal(ctx, t.question)
				if err == nil {
					err = t.ask()
				}
				if err == nil {
					continue
				}
				if cause := context.Cause(ctx); cause != nil {
					err = cause
				}
				i.miss(t.question, t.about, err)
			}
		})
	}
	wg.Wait()
}

// refusal is why a question is not even asked.
func (i *inquirer) refusal(ctx context.Context, question string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case i.stop != nil:
		return i.stop
	case i.denied[question]:
		return ErrDenied
	}
	return nil
}
