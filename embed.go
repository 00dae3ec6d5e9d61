// Package pcapwarden holds what the Functions host reads of the app, so that
// the program can play the host without its source around.
package pcapwarden

import "embed"

// App is host.json and every function.json, laid out as in the source.
//
//go:embed host.json functions/*/function.json
var App embed.FS
