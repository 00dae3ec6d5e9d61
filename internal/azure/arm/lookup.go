package arm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// LookupVM finds a virtual machine by its name in the resource groups given:
// an alert on logs often names nothing but a computer. It returns the ARM ID
// as Azure spells it, capture.ErrNotFound if there is none, and an error if
// the name is ambiguous: which machine was meant is not for guessing.
func (w *Watcher) LookupVM(ctx context.Context, subscription string, resourceGroups []string, name string) (string, error) {
	if name == "" || strings.ContainsAny(name, "/?#%\\") || name == "." || name == ".." {
		return "", refuse(ReadMachines, "look a virtual machine up: %.300q is no name of one", name)
	}
	c, err := w.clients(subscription)
	if err != nil {
		return "", err
	}
	var found []string
	for _, group := range resourceGroups {
		r, err := c.vms.Get(ctx, group, name, nil)
		if err = classify(ReadMachines, err); errors.Is(err, capture.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("look %s up in %s: %w", name, group, err)
		}
		found = append(found, deref(r.ID))
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("virtual machine %q in %d resource groups: %w", name, len(resourceGroups), capture.ErrNotFound)
	case 1:
		return found[0], nil
	}
	return "", refuse(ReadMachines, "virtual machine %q is ambiguous: %s", name, strings.Join(found, ", "))
}

// InterfaceVM returns the ARM ID of the machine that a network interface
// belongs to: capture.ErrNotFound if the interface is gone or serves no
// machine.
func (w *Watcher) InterfaceVM(ctx context.Context, networkInterface string) (string, error) {
	id, err := parseID(networkInterface)
	if err != nil || typeOf(id) != typeInterface {
		return "", refuse(ReadInterfaces, "look a network interface up: %.300q is not the ID of one", networkInterface)
	}
	c, err := w.clients(id.SubscriptionID)
	if err != nil {
		return "", err
	}
	r, err := c.nics.Get(ctx, id.ResourceGroupName, id.Name, nil)
	if err != nil {
		return "", fmt.Errorf("look network interface %s up: %w", id.Name, classify(ReadInterfaces, err))
	}
	if r.Properties == nil || r.Properties.VirtualMachine == nil || deref(r.Properties.VirtualMachine.ID) == "" {
		return "", fmt.Errorf("machine of network interface %s: %w", id.Name, capture.ErrNotFound)
	}
	return *r.Properties.VirtualMachine.ID, nil
}
