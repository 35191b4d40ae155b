mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-west-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  package        = "tests/package.zip"
  store_url      = "postgresql+psycopg://seawall@db.example:5432/seawall"
  api_token      = "0123456789abcdef0123456789abcdef"
  webhook_secret = "0123456789abcdef0123456789abcdef"
}

run "everything_is_arm64_and_encrypted" {
  command = plan
  assert {
    condition     = alltrue([for f in aws_lambda_function.this : contains(f.architectures, "arm64")])
    error_message = "a function is not arm64"
  }
  assert {
    condition     = length(aws_sqs_queue.dead) == length(aws_sqs_queue.jobs)
    error_message = "a queue has no dead-letter queue"
  }
  assert {
    condition     = alltrue([for name, f in local.functions : f.takes == "" ? true : aws_sqs_queue.jobs[f.takes].visibility_timeout_seconds >= 6 * f.timeout])
    error_message = "a visibility time-out is shorter than six runs"
  }
}

run "the_url_may_be_called_and_the_function_by_nothing_else" {
  command = plan
  assert {
    condition     = aws_lambda_permission.url.action == "lambda:InvokeFunctionUrl" && jsondecode(aws_cloudformation_stack.url.template_body).Resources.Invoke.Properties == { FunctionName = "seawall-api", Action = "lambda:InvokeFunction", Principal = "*", InvokedViaFunctionUrl = true }
    error_message = "a function URL needs both permissions, and the second by URL alone"
  }
}

run "secrets_reach_the_api_only" {
  command = plan
  assert {
    condition     = alltrue([for name, f in aws_lambda_function.this : (name == "api") == contains(keys(f.environment[0].variables), "SEAWALL_API_TOKEN")])
    error_message = "the API token is on another function"
  }
}

run "rds_needs_a_network" {
  command = plan
  variables {
    store_url = null
  }
  expect_failures = [aws_db_instance.store]
}

run "with_rds_in_a_network" {
  command = plan
  variables {
    store_url = null
    network   = { vpc_id = "vpc-1", subnet_ids = ["subnet-a", "subnet-b"] }
    clusters  = ["prod", "test"]
    discover  = false
    database  = { class = "db.t4g.medium", storage_gb = 50, multi_az = true, deletion_protection = true }
  }
  assert {
    condition     = aws_db_instance.store[0].storage_encrypted && !aws_db_instance.store[0].publicly_accessible && aws_db_instance.store[0].iam_database_authentication_enabled && aws_db_instance.store[0].deletion_protection
    error_message = "RDS is open, plain or easily deleted"
  }
  assert {
    condition     = contains([for item in aws_db_parameter_group.store[0].parameter : "${item.name}=${item.value}"], "rds.force_ssl=1")
    error_message = "RDS takes plain-text connections"
  }
  assert {
    condition     = alltrue([for f in aws_lambda_function.this : length(f.vpc_config) == 1])
    error_message = "a function does not reach RDS"
  }
  assert {
    condition     = toset(keys(aws_cloudwatch_log_subscription_filter.audit)) == toset(["prod", "test"]) && toset(keys(aws_eks_access_entry.reader)) == toset(["prod/reader", "test/reader"])
    error_message = "a cluster has no subscription filter or no access entry"
  }
  assert {
    condition     = alltrue([for item in aws_eks_access_policy_association.reader : endswith(item.policy_arn, "/AmazonEKSViewPolicy")])
    error_message = "the reader may do more than view"
  }
  assert {
    condition     = length(aws_iam_role_policy.discovery) == 0 && toset(keys(aws_cloudwatch_metric_alarm.behind)) == toset(["audit-logs", "sensor-stream"])
    error_message = "discovery is allowed though it is off, or a stream has no alarm"
  }
}

run "direct_transport_has_no_audit_stream" {
  command = plan
  variables {
    audit_transport = "direct"
    clusters        = ["prod"]
  }
  assert {
    condition     = toset(keys(aws_kinesis_stream.this)) == toset(["sensor"])
    error_message = "a stream is paid for that nobody uses"
  }
  assert {
    condition     = length(aws_lambda_permission.logs) == 1 && aws_lambda_function.this["audit-logs"].handler == "handlers.audit_logs"
    error_message = "CloudWatch Logs may not call the function, or the wrong one waits"
  }
}

run "everything_wrong" {
  command = plan
  variables {
    name                = "Seawall Production"
    package             = "dist/aws"
    store_url           = "mysql://db"
    database            = { class = "db.t4g.small", storage_gb = 5, multi_az = false, deletion_protection = true }
    network             = { vpc_id = "vpc-1", subnet_ids = ["subnet-a"] }
    clusters            = ["arn:aws:eks:eu-west-1:123456789012:cluster/prod"]
    audit_transport     = "pigeon"
    sensor_shards       = 1000
    repository_arns     = ["shop/api"]
    maximum_concurrency = 1
    log_retention_days  = 31
    otlp_endpoint       = "collector:4318"
    api_token           = "short"
    webhook_secret      = "short"
  }
  expect_failures = [
    var.name, var.package, var.store_url, var.database, var.network, var.clusters, var.audit_transport, var.sensor_shards,
    var.repository_arns, var.maximum_concurrency, var.log_retention_days, var.otlp_endpoint, var.api_token, var.webhook_secret,
  ]
}
