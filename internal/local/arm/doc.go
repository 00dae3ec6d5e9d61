// Package arm is an Azure Resource Manager for a laptop: it knows as much of
// the compute and network providers as packet captures need. It keeps state,
// checks what it is asked as Azure does, and answers with true long-running
// operations, so that the clients of the Azure SDK run unchanged against it,
// over HTTP on loopback.
package arm
