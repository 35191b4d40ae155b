# What agentless discovery reads in this subscription, and nothing else: the rights of ../../discovery.json.
resource "azurerm_role_definition" "discovery" {
  count             = var.discover ? 1 : 0
  name              = "Seawall discovery (${var.name})"
  scope             = data.azurerm_subscription.this.id
  description       = "Reads clusters, registries and their settings; no data of theirs."
  assignable_scopes = [data.azurerm_subscription.this.id]
  permissions {
    actions = keys(jsondecode(file("${path.module}/../../discovery.json")).azure)
  }
}

resource "azurerm_role_assignment" "discovery" {
  count              = var.discover ? 1 : 0
  scope              = data.azurerm_subscription.this.id
  role_definition_id = azurerm_role_definition.discovery[0].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.app["posture"].principal_id
  principal_type     = "ServicePrincipal"
  description        = "discovery: one query of Resource Graph, then settings of clusters and registries"
}
