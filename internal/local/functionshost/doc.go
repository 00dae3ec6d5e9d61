// Package functionshost plays the Azure Functions host on one machine: it
// reads the real host.json and function.json files, starts the real binary,
// and invokes it as the host would.
//
// It follows the source of azure-functions-host 4.1037 (with the newer HTTP
// worker), its WebJobs extensions and their JSON serializer; it was not
// compared with a host running in Azure. It is as strict as the host where a
// custom handler can go wrong, and says what the host would do: answers that
// hang an invocation, redirects it follows, outputs it drops or garbles, exit
// codes after which it starts a handler again, or does not.
//
// Not modelled: forwarding and proxying of HTTP requests, topics, sessions and
// batches of Service Bus, retry policies of anything but timers, scale-out.
package functionshost
