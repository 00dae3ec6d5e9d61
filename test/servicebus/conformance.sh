#!/bin/sh
# Holds the broker to the live tests of Microsoft's Go SDK, unchanged, as they
# lie in the module cache. Needs root (a namespace with its own /etc/hosts),
# Go, Node.js, openssl; takes about 6 minutes. Not part of `make test`.
#
#   test/servicebus/conformance.sh [REGEXP OF TEST NAMES]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${IN_NAMESPACE:-}" != yes ]; then
	exec env IN_NAMESPACE=yes unshare --mount "$0" "$@"
fi
work=$(mktemp -d)
trap 'kill "$broker" 2>/dev/null || true; umount /etc/hosts || true; rm -rf "$work"' EXIT
broker=

# What the tests take for Azure: a name, a certificate, a signed-in az.
host=emulated.servicebus.windows.net
sed "1i 127.0.0.1 $host" /etc/hosts >"$work/hosts"
mount --bind "$work/hosts" /etc/hosts
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$host" -addext "subjectAltName=DNS:$host" \
	-keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
mkdir "$work/bin"
cat >"$work/bin/az" <<'AZ'
#!/bin/sh
later=$(($(date +%s) + 3600))
payload=$(printf '{"aud":"https://servicebus.azure.net","exp":%s}' "$later" | base64 | tr -d '=\n')
printf '{"accessToken":"e30.%s.x","expiresOn":"%s","expires_on":%s,"tokenType":"Bearer"}\n' "$payload" "$(date -d "@$later" '+%F %T.000000')" "$later"
AZ
chmod +x "$work/bin/az"

module=$(cd "$here/../.." && go list -m -f '{{.Dir}}' github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus)
cp -r "$module" "$work/sdk"
chmod -R u+w "$work/sdk"
(cd "$work/sdk" && go test -c -o "$work/live.test" .)

node "$here/conformance.js" "$work/cert.pem" "$work/key.pem" &
broker=$!

key='SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE'
export PATH="$work/bin:$PATH" SSL_CERT_FILE="$work/cert.pem" AZURE_RECORD_MODE=live AZURE_TOKEN_CREDENTIALS=AzureCLICredential
export SERVICEBUS_ENDPOINT=$host SERVICEBUS_ENDPOINT_PREMIUM=$host
export SERVICEBUS_CONNECTION_STRING="Endpoint=sb://$host/;$key" SERVICEBUS_CONNECTION_STRING_PREMIUM="Endpoint=sb://$host/;$key"
export SERVICEBUS_CONNECTION_STRING_NO_MANAGE= SERVICEBUS_CONNECTION_STRING_SEND_ONLY= SERVICEBUS_CONNECTION_STRING_LISTEN_ONLY=

# What is not here: counts and topics of the management API, topics, WebSockets,
# keys with fewer rights; and one test wants port 5671 closed.
known=" TestAdminClient_GetQueueRuntimeProperties TestAdminClient_TopicAndSubscriptionRuntimeProperties
 TestReceiverSendFiveReceiveFive_Subscription TestNewClientWithWebsockets TestClientUnauthorizedCreds TestReceiverUnauthorizedCreds
 TestClientUsingCustomEndpoint "

# One process a test: a test that waits for ever must not take the others along.
cd "$work/sdk"
passed=0 failed=0 unknown=0
for name in $("$work/live.test" -test.list "${1:-.}" | grep '^Test' | grep -v 'Session\|Forwarding'); do
	if timeout 60 "$work/live.test" -test.run "^$name\$" -test.timeout 50s >"$work/$name.log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		case $known in *[[:space:]]"$name"[[:space:]]*) continue ;; esac
		unknown=$((unknown + 1))
		[ $# -eq 0 ] || cat "$work/$name.log"
		echo "FAIL $name: $(grep -m1 -A3 'Error:\|panic:\|error:' "$work/$name.log" | tr -s '[:space:]' ' ' | cut -c1-200)"
	fi
done
echo "$passed passed, $failed failed, of which $unknown should not (sessions and forwarding left out)"
[ "$unknown" -eq 0 ]
