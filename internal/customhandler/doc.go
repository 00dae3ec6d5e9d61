// Package customhandler speaks the Azure Functions custom-handler protocol:
// the host posts each invocation to http://127.0.0.1:PORT/FUNCTION as JSON and
// reads outputs and log lines back. Nothing else in the app knows that.
//
// The rules below come from the host's source (azure-functions-host, 4.1037
// and newer files) and shape this package:
//
//   - A 2xx answer with an empty body, or null, never completes: the
//     invocation hangs until functionTimeout, and the host then kills the
//     process with everything else that runs in it. Every answer is a JSON
//     object with a JSON content type.
//   - The host follows redirects, dropping the body. Paths match exactly.
//   - An action group never tries an alert again after a 500, and the host
//     turns every failed invocation into one. What may be tried again is
//     therefore a successful invocation whose HTTP output says 503.
//   - Any other trigger is delivered again by failing its invocation.
//   - Log lines travel in the answer of a successful invocation only, so they
//     are written to standard output as well.
//   - Metadata holds properties of the payload under names that the payload
//     chooses. It is never trusted.
package customhandler
