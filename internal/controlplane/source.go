package controlplane

import (
	"context"
	"errors"
	"net/netip"
)

// A Source answers questions about the rules of the network as they are now.
// It changes nothing. Its methods end with their context, and may be called
// at the same time.
type Source interface {
	// Interfaces are the network interfaces of the machine, or of those
	// instances of the scale set.
	Interfaces(ctx context.Context, s Subject) ([]Interface, error)
	// Access says what the security groups do with a flow.
	Access(ctx context.Context, q Question) (Access, error)
	// NextHop says where the route from the local to the remote end leads.
	NextHop(ctx context.Context, q Question) (Hop, error)
	// Rules are the effective security rules of a network interface.
	Rules(ctx context.Context, s Subject, networkInterface string) ([]Rule, error)
	// Names are the addresses that resources around the machine have: of its
	// resource group, and of that of its virtual network. What it could read
	// comes with the error about what it could not.
	Names(ctx context.Context, s Subject, at []Interface) ([]Name, error)
	// Tags name the service tags that public addresses belong to.
	Tags(ctx context.Context, s Subject, addrs []netip.Addr) ([]Name, error)
}

// The errors of a [Source] that say more than that a question has no answer.
var (
	// ErrThrottled: nothing else is asked.
	ErrThrottled = errors.New("azure wants no more requests for now")
	// ErrDenied: the same is not asked about another flow.
	ErrDenied = errors.New("the identity may not ask this")
	// ErrUnsupported: Azure has no answer for such a flow or machine.
	ErrUnsupported = errors.New("azure does not answer this")
)

// A Subject is the captured machine, as its case has it.
type Subject struct {
	ID        string // ARM ID of a virtual machine or scale set
	ScaleSet  bool
	Region    string
	Instances []string     // the captured ones of a scale set
	Addresses []netip.Addr // private ones, where known
}

// An Interface is a network interface of the subject.
type Interface struct {
	ID        string // ARM ID
	Machine   string // ARM ID of the machine, or of the instance of a scale set
	Addresses []netip.Addr
	Subnet    string // ARM ID
}

// A Question is about one flow of the subject.
type Question struct {
	Subject
	Interface Interface // has Local
	Protocol  string    // tcp, udp, icmp
	Direction Direction
	Local     netip.AddrPort // port 0: any
	Remote    netip.AddrPort // port 0: any
}
