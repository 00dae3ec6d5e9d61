#!/usr/bin/env bash
# What Bicep cannot declare: the app registration that tokens are for, its
# roles, and Azure Monitor's right to send alerts. Run it as often as you like.
#
#   infra/entra.sh                        makes all of it, and tells azd
#   infra/entra.sh assign ROLE OBJECT_ID  gives a person or a group a role
#
# Who runs it needs the Entra role Application Administrator, or better.
set -euo pipefail
cd "$(dirname "$0")"

name="pcapwarden-${AZURE_ENV_NAME:?name the deployment: azd env new NAME, or AZURE_ENV_NAME=NAME}"
graph=https://graph.microsoft.com/v1.0
action_groups=461e8683-5575-4561-ac7f-899cc907d62a # AzNS AAD Webhook, the same in every tenant
azure_cli=04b07795-8ddb-461a-bbee-02f9e1bf7b46     # whoever is signed in with az login

# The service principal of an application, made if this tenant has none.
principal() {
  az ad sp show --id "$1" --query id -o tsv 2>/dev/null || az ad sp create --id "$1" --query id -o tsv
}

# Gives the principal $2 the role $1 of our application.
assign() {
  local role
  role=$(jq -er --arg role "$1" '.appRoles[] | select(.value == $role) | .id' registration.json) ||
    { echo "there is no role $1; registration.json lists them" >&2; exit 2; }
  if [ "$(az rest -u "$graph/servicePrincipals/$service/appRoleAssignedTo?\$top=999" \
    --query "length(value[?principalId=='$2' && appRoleId=='$role'])")" = 0 ]; then
    az rest -m post -u "$graph/servicePrincipals/$service/appRoleAssignedTo" \
      -b "{\"principalId\":\"$2\",\"resourceId\":\"$service\",\"appRoleId\":\"$role\"}" -o none
  fi
  echo "$2 has $1"
}

app=$(az ad app list --filter "displayName eq '$name'" --query '[0].appId' -o tsv)
[ -n "$app" ] || app=$(az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg --query appId -o tsv)
object=$(az ad app show --id "$app" --query id -o tsv)
service=$(principal "$app")

if [ "${1:-}" = assign ]; then
  assign "${2:?which role?}" "${3:?whose object ID?}"
  exit
fi

# Roles and scope; then who may ask for the scope, which has to exist by then.
az rest -m patch -u "$graph/applications/$object" -b @registration.json -o none
scope=$(jq -r '.api.oauth2PermissionScopes[0].id' registration.json)
az rest -m patch -u "$graph/applications/$object" -o none -b "{\"identifierUris\":[\"api://$app\"],
  \"api\":{\"preAuthorizedApplications\":[{\"appId\":\"$azure_cli\",\"delegatedPermissionIds\":[\"$scope\"]}]}}"

# Nobody gets a token without a role.
az rest -m patch -u "$graph/servicePrincipals/$service" -b '{"appRoleAssignmentRequired":true}' -o none

assign ActionGroupsSecureWebhook "$(principal $action_groups)"

if command -v azd >/dev/null && azd env list >/dev/null 2>&1; then
  azd env set PCAPWARDEN_AUDIENCE "api://$app"
  azd env set PCAPWARDEN_REGISTRATION "$object"
fi
echo "PCAPWARDEN_AUDIENCE=api://$app"
echo "PCAPWARDEN_REGISTRATION=$object"
