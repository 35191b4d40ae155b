# What an operator is told about Seawall itself, and what it costs.
resource "azurerm_monitor_action_group" "operators" {
  count               = length(var.operators) == 0 ? 0 : 1
  name                = "${var.name}-operators"
  resource_group_name = local.group
  short_name          = substr(var.name, 0, 12)
  tags                = var.tags
  dynamic "email_receiver" {
    for_each = { for i, email in var.operators : "mail-${i}" => email }
    content {
      name                    = email_receiver.key
      email_address           = email_receiver.value
      use_common_alert_schema = true
    }
  }
}

resource "azurerm_monitor_scheduled_query_rules_alert_v2" "failures" {
  count                   = length(var.operators) == 0 ? 0 : 1
  name                    = "${var.name}-failures"
  display_name            = "Seawall: functions fail"
  description             = "More than 20 failed invocations of one function in 15 minutes."
  resource_group_name     = local.group
  location                = local.workspace_location
  severity                = 2
  scopes                  = [azurerm_application_insights.this.id]
  evaluation_frequency    = "PT5M"
  window_duration         = "PT15M"
  auto_mitigation_enabled = true
  tags                    = var.tags
  criteria {
    query                   = "requests | where success == false | summarize Failed = count() by name"
    time_aggregation_method = "Total"
    metric_measure_column   = "Failed"
    operator                = "GreaterThan"
    threshold               = 20
    dimension {
      name     = "name"
      operator = "Include"
      values   = ["*"]
    }
    failing_periods {
      number_of_evaluation_periods             = 1
      minimum_failing_periods_to_trigger_alert = 1
    }
  }
  action {
    action_groups = [azurerm_monitor_action_group.operators[0].id]
  }
}

# The storage account's own figures know no single queue, so the host's word for it is looked for.
resource "azurerm_monitor_scheduled_query_rules_alert_v2" "poison" {
  count                   = length(var.operators) == 0 ? 0 : 1
  name                    = "${var.name}-poison"
  display_name            = "Seawall: messages were given up"
  description             = "A job failed too often and lies in a poison queue: the poison table has the reason."
  resource_group_name     = local.group
  location                = local.workspace_location
  severity                = 2
  scopes                  = [azurerm_application_insights.this.id]
  evaluation_frequency    = "PT5M"
  window_duration         = "PT15M"
  auto_mitigation_enabled = true
  tags                    = var.tags
  criteria {
    query                   = "traces | where message startswith \"Message has reached MaxDequeueCount\""
    time_aggregation_method = "Count"
    operator                = "GreaterThan"
    threshold               = 0
    failing_periods {
      number_of_evaluation_periods             = 1
      minimum_failing_periods_to_trigger_alert = 1
    }
  }
  action {
    action_groups = [azurerm_monitor_action_group.operators[0].id]
  }
}

resource "azurerm_monitor_metric_alert" "throttled" {
  count               = length(var.operators) == 0 ? 0 : 1
  name                = "${var.name}-throttled"
  description         = "Event Hubs refuses events: raise event_hubs_capacity."
  resource_group_name = local.group
  severity            = 2
  scopes              = [azurerm_eventhub_namespace.this.id]
  frequency           = "PT5M"
  window_size         = "PT15M"
  tags                = var.tags
  criteria {
    metric_namespace = "Microsoft.EventHub/namespaces"
    metric_name      = "ThrottledRequests"
    aggregation      = "Total"
    operator         = "GreaterThan"
    threshold        = 100
  }
  action {
    action_group_id = azurerm_monitor_action_group.operators[0].id
  }
}

resource "azurerm_monitor_metric_alert" "queues" {
  count               = length(var.operators) == 0 ? 0 : 1
  name                = "${var.name}-queues"
  description         = "More than 10,000 messages wait in the job queues (hourly figure of the storage account)."
  resource_group_name = local.group
  severity            = 2
  scopes              = ["${azurerm_storage_account.data.id}/queueServices/default"]
  frequency           = "PT1H"
  window_size         = "PT1H"
  tags                = var.tags
  criteria {
    metric_namespace = "Microsoft.Storage/storageAccounts/queueServices"
    metric_name      = "QueueMessageCount"
    aggregation      = "Average"
    operator         = "GreaterThan"
    threshold        = 10000
  }
  action {
    action_group_id = azurerm_monitor_action_group.operators[0].id
  }
}

resource "azurerm_consumption_budget_resource_group" "this" {
  count             = length(var.operators) > 0 && var.monthly_budget > 0 ? 1 : 0
  name              = "${var.name}-budget"
  resource_group_id = azurerm_resource_group.this.id
  amount            = var.monthly_budget
  time_grain        = "Monthly"
  time_period {
    start_date = "${coalesce(var.budget_start, formatdate("YYYY-MM-01", plantimestamp()))}T00:00:00Z"
  }
  dynamic "notification" {
    for_each = { Forecasted = 100, Actual = 80 }
    content {
      operator       = "GreaterThan"
      threshold      = notification.value
      threshold_type = notification.key
      contact_emails = var.operators
      contact_groups = [azurerm_monitor_action_group.operators[0].id]
    }
  }
  lifecycle {
    # The start is the month of the first apply; another one would replace the budget.
    ignore_changes = [time_period]
  }
}
