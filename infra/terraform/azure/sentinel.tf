locals {
  rule    = jsondecode(file("${path.module}/../../sentinel/rule.json"))
  hunting = jsondecode(file("${path.module}/../../sentinel/hunting.json"))
}

resource "azurerm_log_analytics_workspace_table_custom_log" "this" {
  for_each          = { for table in local.schema.tables : table.name => table }
  name              = each.key
  workspace_id      = local.workspace_id
  description       = each.value.description
  plan              = each.value.plan
  retention_in_days = var.retention_days
  dynamic "column" {
    for_each = each.value.columns
    content {
      name        = column.value.name
      type        = column.value.type
      description = column.value.description
    }
  }
}

resource "azurerm_monitor_data_collection_endpoint" "this" {
  name                          = "${var.name}-dce"
  resource_group_name           = local.group
  location                      = local.workspace_location
  public_network_access_enabled = !var.private_network
  tags                          = var.tags
}

resource "azurerm_monitor_data_collection_rule" "this" {
  name                        = "${var.name}-dcr"
  resource_group_name         = local.group
  location                    = local.workspace_location
  data_collection_endpoint_id = azurerm_monitor_data_collection_endpoint.this.id
  tags                        = var.tags
  destinations {
    log_analytics {
      name                  = "sentinel"
      workspace_resource_id = local.workspace_id
    }
  }
  dynamic "data_flow" {
    for_each = local.schema.tables
    content {
      streams       = [data_flow.value.stream]
      destinations  = ["sentinel"]
      output_stream = data_flow.value.stream
      transform_kql = "source"
    }
  }
  dynamic "stream_declaration" {
    for_each = local.schema.tables
    content {
      stream_name = stream_declaration.value.stream
      dynamic "column" {
        for_each = stream_declaration.value.columns
        content {
          name = column.value.name
          type = column.value.type
        }
      }
    }
  }
  depends_on = [azurerm_log_analytics_workspace_table_custom_log.this]
}

resource "azurerm_role_assignment" "rule" {
  for_each           = { for key, grant in local.grants : key => grant if grant.kind == "rule" }
  scope              = azurerm_monitor_data_collection_rule.this.id
  role_definition_id = "${local.role}${local.roles[each.value.role]}"
  principal_id       = azurerm_user_assigned_identity.app[each.value.app].principal_id
  principal_type     = "ServicePrincipal"
  description        = each.value.call
}

resource "azurerm_application_insights" "this" {
  name                         = "${var.name}-insights"
  resource_group_name          = local.group
  location                     = local.workspace_location
  application_type             = "web"
  local_authentication_enabled = false
  internet_ingestion_enabled   = !var.private_network
  workspace_id                 = local.workspace_id
  tags                         = var.tags
}

resource "azurerm_role_assignment" "insights" {
  for_each           = { for key, grant in local.grants : key => grant if grant.kind == "insights" }
  scope              = azurerm_application_insights.this.id
  role_definition_id = "${local.role}${local.roles[each.value.role]}"
  principal_id       = azurerm_user_assigned_identity.app[each.value.app].principal_id
  principal_type     = "ServicePrincipal"
  description        = each.value.call
}

resource "azurerm_sentinel_alert_rule_nrt" "incidents" {
  name                       = uuidv5("url", "seawall-incidents/${local.workspace_id}")
  log_analytics_workspace_id = local.workspace_id
  display_name               = local.rule.nrtName
  description                = local.rule.nrtDescription
  severity                   = local.rule.severity
  query                      = file("${path.module}/../../sentinel/incident.kql")
  custom_details             = local.rule.customDetails
  event_grouping {
    aggregation_method = "AlertPerResult"
  }
  alert_details_override {
    display_name_format  = local.rule.alertName
    description_format   = local.rule.alertDescription
    severity_column_name = local.rule.severityColumn
    tactics_column_name  = local.rule.tacticsColumn
    dynamic_property {
      name  = "Techniques"
      value = local.rule.techniquesColumn
    }
  }
  incident {
    create_incident_enabled = true
    grouping {
      enabled                 = true
      lookback_duration       = "P7D"
      reopen_closed_incidents = false
      entity_matching_method  = "Selected"
      by_custom_details       = ["IncidentKey"]
    }
  }
  dynamic "entity_mapping" {
    for_each = local.rule.entityMappings
    content {
      entity_type = entity_mapping.value.entityType
      dynamic "field_mapping" {
        for_each = entity_mapping.value.fieldMappings
        content {
          identifier  = field_mapping.value.identifier
          column_name = field_mapping.value.columnName
        }
      }
    }
  }
  depends_on = [azurerm_log_analytics_workspace_table_custom_log.this, azurerm_sentinel_log_analytics_workspace_onboarding.soc]
}

resource "azurerm_sentinel_alert_rule_scheduled" "catch_up" {
  name                       = uuidv5("url", "seawall-incidents-catch-up/${local.workspace_id}")
  log_analytics_workspace_id = local.workspace_id
  display_name               = local.rule.scheduledName
  description                = local.rule.scheduledDescription
  severity                   = local.rule.severity
  query                      = file("${path.module}/../../sentinel/incident_catch_up.kql")
  query_frequency            = local.rule.frequency
  query_period               = local.rule.period
  custom_details             = local.rule.customDetails
  event_grouping {
    aggregation_method = "AlertPerResult"
  }
  alert_details_override {
    display_name_format  = local.rule.alertName
    description_format   = local.rule.alertDescription
    severity_column_name = local.rule.severityColumn
    tactics_column_name  = local.rule.tacticsColumn
    dynamic_property {
      name  = "Techniques"
      value = local.rule.techniquesColumn
    }
  }
  incident {
    create_incident_enabled = true
    grouping {
      enabled                 = true
      lookback_duration       = "P7D"
      reopen_closed_incidents = false
      entity_matching_method  = "Selected"
      by_custom_details       = ["IncidentKey"]
    }
  }
  dynamic "entity_mapping" {
    for_each = local.rule.entityMappings
    content {
      entity_type = entity_mapping.value.entityType
      dynamic "field_mapping" {
        for_each = entity_mapping.value.fieldMappings
        content {
          identifier  = field_mapping.value.identifier
          column_name = field_mapping.value.columnName
        }
      }
    }
  }
  depends_on = [azurerm_log_analytics_workspace_table_custom_log.this, azurerm_sentinel_log_analytics_workspace_onboarding.soc]
}

resource "azurerm_log_analytics_saved_search" "hunting" {
  for_each                   = { for query in local.hunting : query.id => query }
  name                       = each.key
  log_analytics_workspace_id = local.workspace_id
  category                   = "Hunting Queries"
  display_name               = "Seawall: ${each.value.title}"
  query                      = each.value.query
  tags                       = { description = each.value.description, tactics = each.value.tactics, techniques = each.value.techniques }
  depends_on                 = [azurerm_log_analytics_workspace_table_custom_log.this]
}

resource "azurerm_application_insights_workbook" "this" {
  name                = uuidv5("url", "seawall-workbook/${local.workspace_id}")
  resource_group_name = local.workspace_group
  location            = local.workspace_location
  display_name        = "Seawall"
  category            = "sentinel"
  source_id           = lower(local.workspace_id)
  data_json           = file("${path.module}/../../sentinel/workbook.json")
  tags                = var.tags
}
