package arm_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
	networkfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9/fake"

	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
)

// TestReaderAgainstSDKFakes has the SDK's own fakes read what is asked, and
// write the answers: code that is neither ours nor the local ARM's. They
// answer operations with 200 at once.
func TestReaderAgainstSDKFakes(t *testing.T) {
	var verified armnetwork.VerificationIPFlowParameters
	var hopped armnetwork.NextHopParameters
	var diagnosed armnetwork.ConfigurationDiagnosticParameters
	type ctx = context.Context
	watchers := networkfake.NewWatchersServerTransport(&networkfake.WatchersServer{
		NewListAllPager: listWatchers,
		BeginVerifyIPFlow: func(_ ctx, _, _ string, p armnetwork.VerificationIPFlowParameters, _ *armnetwork.WatchersClientBeginVerifyIPFlowOptions) (ok azfake.PollerResponder[armnetwork.WatchersClientVerifyIPFlowResponse], _ azfake.ErrorResponder) {
			verified = p
			ok.SetTerminalResponse(http.StatusOK, armnetwork.WatchersClientVerifyIPFlowResponse{VerificationIPFlowResult: armnetwork.VerificationIPFlowResult{
				Access: new(armnetwork.AccessDeny), RuleName: new("UserRule_no-web"),
			}}, nil)
			return ok, azfake.ErrorResponder{}
		},
		BeginGetNextHop: func(_ ctx, _, _ string, p armnetwork.NextHopParameters, _ *armnetwork.WatchersClientBeginGetNextHopOptions) (ok azfake.PollerResponder[armnetwork.WatchersClientGetNextHopResponse], _ azfake.ErrorResponder) {
			hopped = p
			ok.SetTerminalResponse(http.StatusOK, armnetwork.WatchersClientGetNextHopResponse{NextHopResult: armnetwork.NextHopResult{
				NextHopType: new(armnetwork.NextHopType("VnetPeering")), NextHopIPAddress: new(""), RouteTableID: new("System Route"),
			}}, nil)
			return ok, azfake.ErrorResponder{}
		},
		BeginGetNetworkConfigurationDiagnostic: func(_ ctx, _, _ string, p armnetwork.ConfigurationDiagnosticParameters, _ *armnetwork.WatchersClientBeginGetNetworkConfigurationDiagnosticOptions) (ok azfake.PollerResponder[armnetwork.WatchersClientGetNetworkConfigurationDiagnosticResponse], _ azfake.ErrorResponder) {
			diagnosed = p
			evaluated := func(group, rule, action string) *armnetwork.EvaluatedNetworkSecurityGroup {
				return &armnetwork.EvaluatedNetworkSecurityGroup{NetworkSecurityGroupID: &group, MatchedRule: &armnetwork.MatchedRule{RuleName: &rule, Action: &action}}
			}
			ok.SetTerminalResponse(http.StatusOK, armnetwork.WatchersClientGetNetworkConfigurationDiagnosticResponse{ConfigurationDiagnosticResponse: armnetwork.ConfigurationDiagnosticResponse{
				Results: []*armnetwork.ConfigurationDiagnosticResult{{NetworkSecurityGroupResult: &armnetwork.SecurityGroupResult{
					SecurityRuleAccessResult: new(armnetwork.SecurityRuleAccessDeny),
					EvaluatedNetworkSecurityGroups: []*armnetwork.EvaluatedNetworkSecurityGroup{
						evaluated("/nsg/one", "UserRule_all", "Allow"), nil, evaluated("/nsg/two", "DefaultRule_DenyAllInBound", "Deny"), evaluated("/nsg/three", "UserRule_x", "Allow"),
					},
				}}},
			}}, nil)
			return ok, azfake.ErrorResponder{}
		},
	})
	interfaces := networkfake.NewInterfacesServerTransport(&networkfake.InterfacesServer{
		BeginListEffectiveNetworkSecurityGroups: func(ctx, string, string, *armnetwork.InterfacesClientBeginListEffectiveNetworkSecurityGroupsOptions) (ok azfake.PollerResponder[armnetwork.InterfacesClientListEffectiveNetworkSecurityGroupsResponse], _ azfake.ErrorResponder) {
			ok.SetTerminalResponse(http.StatusOK, armnetwork.InterfacesClientListEffectiveNetworkSecurityGroupsResponse{EffectiveNetworkSecurityGroupListResult: armnetwork.EffectiveNetworkSecurityGroupListResult{
				Value: []*armnetwork.EffectiveNetworkSecurityGroup{nil, {}, {
					NetworkSecurityGroup: &armnetwork.SubResource{ID: new(nsgID)},
					EffectiveSecurityRules: []*armnetwork.EffectiveNetworkSecurityRule{nil, {}, {
						Name: new("securityRules/web"), Direction: new(armnetwork.SecurityRuleDirectionInbound), Access: new(armnetwork.SecurityRuleAccessAllow),
						Priority: new(int32(100)), Protocol: new(armnetwork.EffectiveSecurityRuleProtocolTCP),
						SourceAddressPrefixes: []*string{new("203.0.113.0/28"), new("198.51.100.7")}, DestinationAddressPrefix: new("0.0.0.0/0"),
						SourcePortRange: new("0-65535"), DestinationPortRanges: []*string{new("80"), new("443-445")},
					}},
				}},
			}}, nil)
			return ok, azfake.ErrorResponder{}
		},
	})
	server := httptest.NewServer(dispatch([]fakeRoute{
		{"GET", `/networkWatchers$`, "WatchersClient.NewListAllPager", watchers},
		{"POST", `/ipFlowVerify$`, "WatchersClient.BeginVerifyIPFlow", watchers},
		{"POST", `/nextHop$`, "WatchersClient.BeginGetNextHop", watchers},
		{"POST", `/networkConfigurationDiagnostic$`, "WatchersClient.BeginGetNetworkConfigurationDiagnostic", watchers},
		{"POST", `/effectiveNetworkSecurityGroups$`, "InterfacesClient.BeginListEffectiveNetworkSecurityGroups", interfaces},
	}))
	t.Cleanup(server.Close)
	r := arm.NewReader(watcherAt(t, server.URL, nil))

	q := question(t, subject(), nicID, "tcp 10.0.0.4:443 < 203.0.113.9:0")
	a, err := r.Access(t.Context(), q)
	if want := (controlplane.Access{Rule: "no-web", By: controlplane.FlowVerify}); err != nil || a != want {
		t.Errorf("Access = %+v, %v, want %+v", a, err, want)
	}
	if got := strings.Join([]string{*verified.TargetResourceID, *verified.TargetNicResourceID, string(*verified.Direction), string(*verified.Protocol),
		*verified.LocalIPAddress, *verified.LocalPort, *verified.RemoteIPAddress, *verified.RemotePort}, " "); got != vmID+" "+nicID+" Inbound TCP 10.0.0.4 443 203.0.113.9 *" {
		t.Errorf("IP flow verify was asked about %s", got)
	}

	h, err := r.NextHop(t.Context(), q)
	if want := (controlplane.Hop{Type: controlplane.HopPeering, RouteTable: "System Route"}); err != nil || h != want {
		t.Errorf("NextHop = %+v, %v, want %+v", h, err, want)
	}
	if *hopped.SourceIPAddress != "10.0.0.4" || *hopped.DestinationIPAddress != "203.0.113.9" {
		t.Errorf("next hop was asked for %s to %s: the way back is from here", *hopped.SourceIPAddress, *hopped.DestinationIPAddress)
	}

	a, err = r.Access(t.Context(), question(t, setSubject(), setNicID, "udp 10.0.1.5:53 < 203.0.113.9:4000"))
	if want := (controlplane.Access{Rule: "DenyAllInBound", Group: "/nsg/two", By: controlplane.Diagnostics}); err != nil || a != want {
		t.Errorf("Access of an instance = %+v, %v, want %+v", a, err, want)
	}
	p := diagnosed.Profiles[0]
	if got := strings.Join([]string{*diagnosed.TargetResourceID, string(*p.Direction), *p.Protocol, *p.Source, *p.Destination, *p.DestinationPort}, " "); got != setNicID+" Inbound UDP 203.0.113.9 10.0.1.5 53" {
		t.Errorf("NSG diagnostics was asked about %s", got)
	}

	rules, err := r.Rules(t.Context(), subject(), nicID)
	if err != nil {
		t.Fatal(err)
	}
	for remote, want := range map[string]int{"203.0.113.9": 1, "198.51.100.7": 1, "203.0.113.99": 0} {
		q.Remote = netip.AddrPortFrom(netip.MustParseAddr(remote), 4000)
		if got := len(controlplane.Matching(rules, q)); got != want {
			t.Errorf("%d rules match %s, want %d", got, remote, want)
		}
	}
}

// FuzzReader: whatever answers in Azure's place, the questions end without a
// panic, and with at most the names and rules that there is room for.
func FuzzReader(f *testing.F) {
	for _, body := range []string{
		`{"access":"Allow","ruleName":"securityRules/x"}`, `{"nextHopType":"VirtualAppliance","nextHopIpAddress":"10.0.9.4"}`,
		`{"results":[{"networkSecurityGroupResult":{"securityRuleAccessResult":"Deny","evaluatedNetworkSecurityGroups":[{"matchedRule":{}}]}}]}`,
		`{"value":[{"properties":{"ipConfigurations":[{"properties":{"privateIPAddress":"10.0.0.4","subnet":{"id":"/x"}}}],"virtualMachine":{"id":"/x"},"privateEndpoint":{"id":"y"}}}]}`,
		`{"value":[{"effectiveSecurityRules":[{"name":"x","sourceAddressPrefixes":["*",null]}]}]}`,
		`{"values":[{"name":"Storage","properties":{"addressPrefixes":["52.0.0.0/8",null,"x"]}}]}`,
		`{"value":[null,{"properties":{"frontendIPConfigurations":[null,{"properties":{"publicIPAddress":{}}}],"ipAddress":"1.2.3.4","ipConfiguration":{"id":"/"}}}]}`,
		`{"properties":{"networkProfile":{"networkInterfaces":[{"id":"` + nicID + `"},null]}}}`,
		`null`, `[]`, `"x"`, `{"nextLink":"http://127.0.0.1:1/"}`,
	} {
		f.Add([]byte(body), 200)
		f.Add([]byte(body), 202)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		if status < 200 || status > 599 || status == 500 || status > 501 {
			t.Skip() // what is tried again takes too long here
		}
		asked := 0
		client := &http.Client{Transport: roundTrip(func(req *http.Request) *http.Response {
			asked++
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", "application/json")
			if strings.HasSuffix(req.URL.Path, "/networkWatchers") {
				w.WriteString(`{"value":[{"id":"` + watcherID + `","location":"westeurope"}]}`)
			} else {
				w.WriteHeader(status)
				w.Write(body)
			}
			return w.Result()
		})}
		r := arm.NewReader(watcherAt(t, "http://127.0.0.1:9", client))
		// What is never done is asked for until there is no time left.
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		q := question(t, subject(), nicID, "tcp 10.0.0.4:40000 > 52.1.2.3:443")
		r.Access(ctx, q)
		r.Access(ctx, question(t, setSubject(), setNicID, "tcp 10.0.1.5:40000 > 52.1.2.3:443"))
		r.NextHop(ctx, q)
		rules, _ := r.Rules(ctx, subject(), nicID)
		if len(rules) > 4000 || len(controlplane.Matching(rules, q)) > controlplane.MaxRules {
			t.Errorf("%d rules", len(rules))
		}
		at, _ := r.Interfaces(ctx, subject())
		r.Interfaces(ctx, setSubject())
		r.Names(ctx, setSubject(), at)
		r.Tags(ctx, subject(), []netip.Addr{netip.MustParseAddr("52.1.2.3")})
		if asked > 2000 {
			t.Errorf("%d requests", asked)
		}
	})
}

type roundTrip func(*http.Request) *http.Response

func (r roundTrip) RoundTrip(req *http.Request) (*http.Response, error) {
	resp := r(req)
	resp.Request = req
	return resp, nil
}
