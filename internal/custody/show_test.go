package custody

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestShownText(t *testing.T) {
	at := time.Date(2026, 3, 17, 2, 10, 0, 0, time.UTC)
	const machine = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web0"
	s := Shown{Manifest: Manifest{
		Identity:    Identity{EvidenceID: "pc-a-1", Kind: Original, Incident: "inc-a", Capture: "pc-a", File: "a.cap"},
		Authority:   Authority{Profile: "tls", Mode: "standing", Reason: "uploads to the partner fail since the certificate was changed\x1b[2J", Owner: "net", Approver: "ops"},
		Source:      Source{Target: machine},
		Trigger:     Trigger{Rule: "upload failures", Fired: at},
		Acquisition: Acquisition{Session: "/session", Tool: Tool{Name: "pcapwarden", Version: "1", SHA256: strings.Repeat("ab", 32)}},
		Integrity:   Integrity{Bytes: 5, SHA256: strings.Repeat("cd", 32), BlockSize: 8 << 20, Blocks: []string{"x"}, Merkle: strings.Repeat("ef", 32)},
		Location:    Location{Store: "vault", Name: "inc-a/pc-a/a.cap", LandedAt: "https://shop.example/a.cap"},
		Custody: []Transfer{
			{Sequence: 1, At: at, Actor: "alert rule upload failures", Action: Request, To: machine},
			{Sequence: 2, At: at, Actor: "pcapwarden", Action: Promote, From: "https://shop.example/a.cap", To: "vault/inc-a/pc-a/a.cap", Outcome: "the same bytes"},
		},
		Derived: []Derived{{Store: "reports", Name: "pc-a.html", Kind: Report, SHA256: strings.Repeat("01", 32)}},
	}}
	want := `evidence     pc-a-1, original
incident     inc-a, capture pc-a
file         a.cap
bytes        5
sha256       cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
merkle root  efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef
             over 1 blocks of 8388608 bytes
kept in      vault/inc-a/pc-a/a.cap
landed at    https://shop.example/a.cap
machine      ` + machine + `
session      /session
allowed by   profile tls, standing: uploads to the partner fail since the
             certificate was changed\x1b[2J
owner        net; approved by ops
alert        upload failures, fired 2026-03-17T02:10:00Z
tool         pcapwarden 1, binary sha256
             abababababababababababababababababababababababababababababababab
delete after unknown
   1  2026-03-17T02:10:00Z request by alert rule upload failures
        to       the machine
   2  2026-03-17T02:10:00Z promote by pcapwarden
        from     where it landed
        to       where it is kept
        outcome  the same bytes
made of it   reports/pc-a.html, report
             sha256
             0101010101010101010101010101010101010101010101010101010101010101
`
	if diff := cmp.Diff(want, s.Text()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}
