#!/usr/bin/env bash
# Brings the package into both apps, and tells Azure Monitor where to call.
# azd runs it after each provision. A changed policy needs nothing but this:
#
#   azd hooks run postprovision
set -euo pipefail
cd "$(dirname "$0")/.."

policy=${PCAPWARDEN_POLICY_FILE:-policy.yaml}
if [ ! -f "$policy" ]; then
  echo "Nothing is deployed yet: write $policy, for example from policy.sample.yaml. Its landing accounts are"
  echo "${LANDING_ACCOUNTS:-those that azd env get-values shows as LANDING_ACCOUNTS}"
  echo "Then run: azd hooks run postprovision"
  exit
fi

make package POLICY="$policy" PACKAGE=build/deploy.zip
for app in "$CONTROL_APP" "$ANALYZE_APP"; do
  az functionapp deployment source config-zip -g "$AZURE_RESOURCE_GROUP" -n "$app" --src build/deploy.zip -o none
  echo "$app has the package"
done

# The key goes into a file that only we read, and is gone with it: arguments
# are seen by everybody on the machine.
umask 077
secret=$(mktemp)
trap 'rm -f "$secret"' EXIT
az functionapp function keys list -g "$AZURE_RESOURCE_GROUP" -n "$CONTROL_APP" --function-name startcaptures \
  --query '{parameters: {functionKey: {value: default}}}' -o json >"$secret"
az deployment group create -g "$AZURE_RESOURCE_GROUP" -n alerts -f infra/alerts.bicep -o none \
  -p "@$secret" \
  -p endpoint="$ALERT_ENDPOINT" registration="$PCAPWARDEN_REGISTRATION" audience="$PCAPWARDEN_AUDIENCE" workspace="$WORKSPACE" \
  -p sampleMachine="${PCAPWARDEN_SAMPLE_MACHINE:-}" sampleMonitor="${PCAPWARDEN_SAMPLE_MONITOR:-}" sampleLogRule="${PCAPWARDEN_SAMPLE_LOG_RULE:-false}"
echo "Azure Monitor calls $ALERT_ENDPOINT: use the action group ag-pcapwarden-captures in alert rules"
