package main

import (
	"errors"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/pcapwarden/pcapwarden/internal/azure/blob"
	"github.com/pcapwarden/pcapwarden/internal/azure/servicebus"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/local/functionshost"
	"github.com/pcapwarden/pcapwarden/internal/local/loop"
)

// Where a setting is file:DIR a folder keeps the same promises as the service.

type files = loop.Files

func openLedger(setting string, cred azcore.TokenCredential) (ledger.Store, error) {
	if strings.HasPrefix(setting, "file:") {
		dir, err := folder.Path(setting)
		if err != nil {
			return nil, err
		}
		return folder.OpenLedger(dir)
	}
	c, err := blob.Open(setting, cred, blob.Options{})
	if err != nil {
		return nil, err
	}
	return c.Ledger(), nil
}

func openFiles(setting string, cred azcore.TokenCredential) (files, error) {
	if strings.HasPrefix(setting, "file:") {
		dir, err := folder.Path(setting)
		if err != nil {
			return nil, err
		}
		return folder.OpenFiles(dir)
	}
	c, err := blob.Open(setting, cred, blob.Options{})
	if err != nil {
		return nil, err
	}
	return c.Files(), nil
}

func openQueue(setting string, cred azcore.TokenCredential) (incident.Queue, error) {
	if strings.HasPrefix(setting, "file:") {
		return openFolderQueue(setting)
	}
	return servicebus.NewSender(setting, cred)
}

func openReceiver(setting string) (functionshost.Receiver, error) {
	if strings.HasPrefix(setting, "file:") {
		return openFolderQueue(setting)
	}
	if strings.HasPrefix(setting, "sb://") {
		return nil, errors.New("the local run receives from a folder or an emulator, not from Azure")
	}
	return servicebus.NewReceiver(setting, nil)
}

func openFolderQueue(setting string) (*folder.Queue, error) {
	dir, err := folder.Path(setting)
	if err != nil {
		return nil, err
	}
	return folder.OpenQueue(dir, folder.Options{})
}
