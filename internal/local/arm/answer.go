package arm

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
)

// routes are what the local ARM knows. Handlers run with the lock held.
var routes = map[string]methods{
	"group " + pathVM:                                                  {"GET": (*Server).listVMs},
	"group " + pathVM + "/*":                                           {"GET": (*Server).readVM},
	"group " + pathScaleSet + "/*":                                     {"GET": (*Server).readScaleSet},
	"group " + pathScaleSet + "/*/virtualmachines":                     {"GET": (*Server).listInstances},
	"group " + pathScaleSet + "/*/virtualmachines/*":                   {"GET": (*Server).readInstance},
	"group " + pathScaleSet + "/*/virtualmachines/*/networkinterfaces": {"GET": (*Server).listInstanceInterfaces},
	"group " + pathScaleSet + "/*/networkinterfaces":                   {"GET": (*Server).listSetInterfaces},
	"group " + pathInterface:                                           {"GET": (*Server).listInterfaces},
	"group " + pathInterface + "/*":                                    {"GET": (*Server).readInterface},
	"group " + pathInterface + "/*/effectivenetworksecuritygroups":     {"POST": (*Server).effectiveGroups},
	"group microsoft.network/privateendpoints":                         {"GET": (*Server).listEndpoints},
	"group microsoft.network/loadbalancers":                            {"GET": (*Server).listBalancers},
	"group microsoft.network/publicipaddresses":                        {"GET": (*Server).listPublicAddresses},
	"subscription microsoft.network/locations/*/servicetags":           {"GET": (*Server).listTags},
	"group microsoft.storage/storageaccounts/*":                        {"GET": (*Server).readStorage},
	"subscription " + pathWatcher:                                      {"GET": (*Server).listWatchers},
	"group " + pathWatcher:                                             {"GET": (*Server).listWatchers},
	"group " + pathWatcher + "/*":                                      {"GET": (*Server).readWatcher},
	"group " + pathWatcher + "/*/packetcaptures":                       {"GET": (*Server).listCaptures},
	"group " + pathWatcher + "/*/packetcaptures/*":                     {"GET": (*Server).readCapture, "PUT": (*Server).createCapture, "DELETE": (*Server).deleteCapture},
	"group " + pathWatcher + "/*/packetcaptures/*/stop":                {"POST": (*Server).stopCapture},
	"group " + pathWatcher + "/*/packetcaptures/*/querystatus":         {"POST": (*Server).queryCapture},
	"group " + pathWatcher + "/*/ipflowverify":                         {"POST": (*Server).verifyFlow},
	"group " + pathWatcher + "/*/nexthop":                              {"POST": (*Server).nextHop},
	"group " + pathWatcher + "/*/networkconfigurationdiagnostic":       {"POST": (*Server).diagnoseFlows},
	"subscription " + pathAlert + "/*":                                 {"GET": (*Server).readAlert},
	"subscription microsoft.network/locations/*/operations/*":          {"GET": (*Server).readOperation},
	"subscription " + pathPermissions:                                  {"GET": (*Server).listPermissions},
	"group " + pathPermissions:                                         {"GET": (*Server).listPermissions},
	"group " + pathWatcher + "/*" + nestedPermissions:                  {"GET": (*Server).listPermissions},
	"group " + pathVM + "/*" + nestedPermissions:                       {"GET": (*Server).listPermissions},
	"group microsoft.storage/storageaccounts/*" + nestedPermissions:    {"GET": (*Server).listPermissions},
	"subscription microsoft.network/locations/*/operationresults/*":    {"GET": (*Server).readOperationResult},
}

// methods are a route's handlers by HTTP method.
type methods map[string]func(*Server, *request) *answer

const (
	pathVM       = "microsoft.compute/virtualmachines"
	pathScaleSet = "microsoft.compute/virtualmachinescalesets"
	pathWatcher  = "microsoft.network/networkwatchers"
	pathAlert    = "microsoft.alertsmanagement/alerts"

	pathPermissions   = "microsoft.authorization/permissions"
	nestedPermissions = "/providers/*/permissions"

	pathInterface = "microsoft.network/networkinterfaces"
)

// An answer is what goes back.
type answer struct {
	status int
	header http.Header
	body   any // nil: no body
}

// null is the JSON value: Azure's answer for the result of a stop.
var null = json.RawMessage("null")

func fail(status int, code, format string, args ...any) *answer {
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Details []any  `json:"details"`
	}
	return &answer{status: status, body: map[string]any{"error": detail{code, fmt.Sprintf(format, args...), []any{}}}}
}

func (s *Server) write(w http.ResponseWriter, a *answer) {
	maps.Copy(w.Header(), a.header)
	w.Header().Set("X-Ms-Request-Id", newID())
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	doc, err := json.Marshal(a.body)
	if err != nil {
		s.log.Error("write an answer", "err", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(a.status)
	w.Write(doc) // the client may be gone; nobody is left to tell
}
