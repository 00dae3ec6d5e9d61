package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/pcapwarden/pcapwarden/internal/azure/blob"
	"github.com/pcapwarden/pcapwarden/internal/azure/keyvault"
	"github.com/pcapwarden/pcapwarden/internal/azure/servicebus"
	"github.com/pcapwarden/pcapwarden/internal/config"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/local/functionshost"
	"github.com/pcapwarden/pcapwarden/internal/local/loop"
)

// Where a setting is file:DIR a folder keeps the same promises as the service.

type files = loop.Files

func openLedger(setting string, cred azcore.TokenCredential) (ledger.Store, error) {
	if dir, ok, err := folderOf(setting); ok {
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
	if dir, ok, err := folderOf(setting); ok {
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

// openSigner opens the signing key. Outside Azure it is a file of the user's
// if nobody names another.
func openSigner(setting string, cred azcore.TokenCredential) (custody.Signer, error) {
	if strings.HasPrefix(setting, "https://") {
		return keyvault.Open(setting, cred, azcore.ClientOptions{})
	}
	name := strings.TrimPrefix(setting, "file:")
	if setting == "" && config.InAzure(os.Getenv) {
		return nil, errors.New("it is not set: name the Key Vault key that custody manifests are signed with; a file on this machine would be lost with it")
	}
	if setting == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("no place for a key of one's own: %w; name one", err)
		}
		name = filepath.Join(dir, "pcapwarden", "signing.pem")
	}
	return custody.OpenFileSigner(filepath.Clean(name))
}

// folderOf is the directory of a file: setting.
func folderOf(setting string) (dir string, ok bool, err error) {
	if !strings.HasPrefix(setting, "file:") {
		return "", false, nil
	}
	dir, err = folder.Path(setting)
	return dir, true, err
}

// ensure makes the container of an emulator, which starts empty. In Azure the
// deployment made it.
func ensure(ctx context.Context, setting string) error {
	if strings.HasPrefix(setting, "file:") || strings.HasPrefix(setting, "https://") {
		return nil
	}
	c, err := blob.Open(setting, nil, blob.Options{})
	if err != nil {
		return err
	}
	return c.Ensure(ctx)
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
	dir, _, err := folderOf(setting)
	if err != nil {
		return nil, err
	}
	return folder.OpenQueue(dir, folder.Options{})
}

// localStores are the openers of a local run.
func localStores(o loop.Options) loop.Options {
	o.OpenLedger = func(ctx context.Context, setting string) (ledger.Store, error) {
		if err := ensure(ctx, setting); err != nil {
			return nil, err
		}
		return openLedger(setting, nil)
	}
	o.OpenFiles = func(ctx context.Context, setting string) (loop.Files, error) {
		if err := ensure(ctx, setting); err != nil {
			return nil, err
		}
		return openFiles(setting, nil)
	}
	o.OpenQueue = func(setting string) (incident.Queue, error) { return openQueue(setting, nil) }
	o.OpenReceiver = openReceiver
	return o
}
