// Types and names in one place.

@export()
@description('A user-assigned identity of one function app.')
type Identity = {
  @description('Name of the identity, which is its role in PostgreSQL, too.')
  name: string
  @description('Resource id.')
  id: string
  @description('Object id that roles are assigned to.')
  principalId: string
  @description('Client id that the app logs in with.')
  clientId: string
}

@export()
@description('Identities by the name of the app.')
type Identities = {
  @description('One for each app of the inventory.')
  *: Identity
}

@export()
@description('Name of a storage account: letters and digits, at most 24.')
func storageName(name string, part string, suffix string) string =>
  take('${toLower(replace(name, '-', ''))}${part}${suffix}', 24)
