// Package functionshost plays the Azure Functions host on one machine: it
// reads the real host.json and function.json files, starts the real binary,
// and invokes it as the host would.
package functionshost
