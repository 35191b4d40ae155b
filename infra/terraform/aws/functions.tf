locals {
  queue_base = "https://sqs.${local.region}.amazonaws.com/${local.account}"
  # What each function does, takes from and may call. `actions` are beyond store, bodies and telemetry, which all need.
  functions = {
    image-pushed  = { handler = "image_pushed", memory = 512, timeout = 60, takes = "pushes", sends = ["images"] }
    scan-image    = { handler = "run_job", memory = 3008, timeout = 600, takes = "images", sends = ["images", "correlate.fifo"] }
    audit-again   = { handler = "run_job", memory = 1024, timeout = 120, takes = "audit", sends = ["correlate.fifo"] }
    sensor-again  = { handler = "run_job", memory = 1024, timeout = 120, takes = "sensor", sends = ["correlate.fifo"] }
    posture       = { handler = "run_job", memory = 1024, timeout = 300, takes = "posture", sends = ["correlate.fifo"] }
    correlate     = { handler = "correlate", memory = 1024, timeout = 120, takes = "correlate.fifo", sends = ["correlate.fifo"] }
    audit-logs    = { handler = var.audit_transport == "stream" ? "audit_stream" : "audit_logs", memory = 1024, timeout = 120, takes = "", sends = ["audit", "correlate.fifo"] }
    sensor-stream = { handler = "sensor_stream", memory = 1024, timeout = 120, takes = "", sends = ["sensor", "correlate.fifo"] }
    tick          = { handler = "tick", memory = 3008, timeout = 900, takes = "", sends = ["images", "correlate.fifo"] }
    api           = { handler = "api", memory = 1024, timeout = 29, takes = "", sends = [for name in keys(local.queues) : name if name != "pushes"] }
  }
  streams = { for function, stream in { audit-logs = "audit", sensor-stream = "sensor" } : function => stream if contains(keys(aws_kinesis_stream.this), stream) }
  store   = var.store_url != null ? var.store_url : "postgresql+psycopg://seawall@${aws_db_instance.store[0].address}:5432/seawall?sslmode=require"

  environment = merge(
    {
      SEAWALL_DATA_DIR            = "/tmp/seawall"
      SEAWALL_LOG_FORMAT          = "json"
      SEAWALL_STORE_URL           = local.store
      SEAWALL_STORE_IDENTITY      = var.store_url == null ? "aws" : ""
      SEAWALL_BLOB_URL            = "s3://${aws_s3_bucket.data.id}/"
      SEAWALL_JOB_QUEUE__SERVICE  = "sqs"
      SEAWALL_JOB_QUEUE__ENDPOINT = local.queue_base
      SEAWALL_JOB_QUEUE__PREFIX   = local.prefix
      SEAWALL_ATTACH_ATTESTATIONS = tostring(var.attach_attestations)
      # Pushes that nobody announced are found by listing this account's registry.
      SEAWALL_REGISTRIES           = jsonencode({ "${local.account}.dkr.ecr.${local.region}.amazonaws.com" = { reconcile = true } })
      SEAWALL_DISCOVERY            = jsonencode(var.discover ? { aws = { regions = [local.region], clusters = length(local.readers) > 0 } } : {})
      SEAWALL_SIGNING_KEY          = "awskms:///${aws_kms_key.signing["findings"].arn}"
      SEAWALL_SENSOR_AUTHORITY_KEY = "awskms:///${aws_kms_key.signing["sensors"].arn}"
    },
    var.hub == null ? {} : {
      SEAWALL_AZURE__IDENTITY  = "aws"
      SEAWALL_AZURE__TENANT_ID = var.hub.tenant_id
      SEAWALL_AZURE__CLIENT_ID = var.hub.client_id
      SEAWALL_HUB__NAMESPACE   = var.hub.namespace
      SEAWALL_HUB__SOURCE      = var.hub.source
    },
    var.security_hub ? {
      SEAWALL_SECURITY_HUB__REGION     = local.region
      SEAWALL_SECURITY_HUB__ACCOUNT_ID = local.account
    } : {},
  )
  telemetry = var.otlp_endpoint == "" ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp_endpoint }
  secret_environment = {
    SEAWALL_API_TOKEN      = var.api_token
    SEAWALL_WEBHOOK_SECRET = var.webhook_secret
  }
}

resource "aws_cloudwatch_log_group" "function" {
  for_each          = local.functions
  name              = "/aws/lambda/${local.prefix}${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.data.arn
  tags              = local.tags
}

resource "aws_lambda_function" "this" {
  for_each                       = local.functions
  function_name                  = "${local.prefix}${each.key}"
  description                    = "Seawall: ${each.value.handler}"
  role                           = aws_iam_role.function[each.key].arn
  handler                        = "handlers.${each.value.handler}"
  runtime                        = "python3.13"
  architectures                  = ["arm64"]
  filename                       = var.package
  source_code_hash               = filebase64sha256(var.package)
  memory_size                    = each.value.memory
  timeout                        = each.value.timeout
  reserved_concurrent_executions = each.key == "tick" ? 4 : -1
  kms_key_arn                    = aws_kms_key.data.arn
  tags                           = local.tags
  ephemeral_storage {
    size = contains(["scan-image", "tick"], each.key) ? 10240 : 512
  }
  environment {
    variables = merge(local.environment, local.telemetry, each.key == "api" ? local.secret_environment : {})
  }
  tracing_config {
    mode = "Active"
  }
  dynamic "vpc_config" {
    for_each = var.network == null ? [] : [var.network]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = [aws_security_group.functions[0].id]
    }
  }
  depends_on = [aws_cloudwatch_log_group.function]
}

resource "aws_lambda_event_source_mapping" "queue" {
  for_each                           = { for name, function in local.functions : name => function.takes if function.takes != "" }
  event_source_arn                   = aws_sqs_queue.jobs[each.value].arn
  function_name                      = aws_lambda_function.this[each.key].arn
  batch_size                         = each.key == "scan-image" ? 1 : 10
  maximum_batching_window_in_seconds = endswith(each.value, ".fifo") || each.key == "scan-image" ? 0 : 2
  function_response_types            = ["ReportBatchItemFailures"]
  scaling_config {
    maximum_concurrency = var.maximum_concurrency
  }
  depends_on = [aws_iam_role_policy.function]
}

resource "aws_lambda_event_source_mapping" "stream" {
  for_each                           = local.streams
  event_source_arn                   = aws_kinesis_stream.this[each.value].arn
  function_name                      = aws_lambda_function.this[each.key].arn
  starting_position                  = "TRIM_HORIZON"
  batch_size                         = 200
  maximum_batching_window_in_seconds = 2
  bisect_batch_on_function_error     = true
  maximum_retry_attempts             = 50
  maximum_record_age_in_seconds      = 86400
  parallelization_factor             = 2
  function_response_types            = ["ReportBatchItemFailures"]
  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.dead[each.value].arn
    }
  }
  depends_on = [aws_iam_role_policy.function]
}

# Audit logs of each cluster.
resource "aws_iam_role" "subscription" {
  count              = var.audit_transport == "stream" ? 1 : 0
  name               = "${local.prefix}subscription"
  assume_role_policy = data.aws_iam_policy_document.assumed_by["logs"].json
  tags               = local.tags
}

resource "aws_iam_role_policy" "subscription" {
  count = var.audit_transport == "stream" ? 1 : 0
  role  = aws_iam_role.subscription[0].id
  name  = "put"
  policy = jsonencode({ Version = "2012-10-17", Statement = [
    { Effect = "Allow", Action = ["kinesis:PutRecord", "kinesis:PutRecords"], Resource = aws_kinesis_stream.this["audit"].arn },
    { Effect = "Allow", Action = "kms:GenerateDataKey", Resource = aws_kms_key.data.arn },
  ] })
}

resource "aws_lambda_permission" "logs" {
  for_each      = var.audit_transport == "direct" ? var.clusters : []
  statement_id  = "logs-${each.key}"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this["audit-logs"].function_name
  principal     = "logs.${local.region}.amazonaws.com"
  source_arn    = "arn:${data.aws_partition.this.partition}:logs:${local.region}:${local.account}:log-group:/aws/eks/${each.key}/cluster:*"
}

resource "aws_cloudwatch_log_subscription_filter" "audit" {
  for_each        = var.clusters
  name            = "${var.name}-audit"
  log_group_name  = "/aws/eks/${each.key}/cluster"
  filter_pattern  = "{ $.stage = \"ResponseComplete\" }"
  destination_arn = var.audit_transport == "stream" ? aws_kinesis_stream.this["audit"].arn : aws_lambda_function.this["audit-logs"].arn
  role_arn        = var.audit_transport == "stream" ? aws_iam_role.subscription[0].arn : null
  depends_on      = [aws_lambda_permission.logs, aws_iam_role_policy.subscription]
}

resource "aws_lambda_function_event_invoke_config" "asynchronous" {
  for_each                     = { audit-logs = "audit", tick = "posture" }
  function_name                = aws_lambda_function.this[each.key].function_name
  maximum_event_age_in_seconds = 21600
  maximum_retry_attempts       = 2
  destination_config {
    on_failure {
      destination = aws_sqs_queue.dead[each.value].arn
    }
  }
  depends_on = [aws_iam_role_policy.function]
}

# Read-only on each cluster, for `seawall posture` and discovery from this account.
resource "aws_iam_role" "reader" {
  name                 = "${local.prefix}reader"
  description          = "Reads EKS clusters and their objects"
  assume_role_policy   = data.aws_iam_policy_document.account.json
  max_session_duration = 3600
  tags                 = local.tags
}

locals {
  # Who reads which cluster: the role that people and other accounts take, and the function that discovers.
  readers = merge([for cluster in(var.access_entries ? var.clusters : []) : merge(
    { "${cluster}/reader" = { cluster = cluster, role = aws_iam_role.reader.arn } },
    var.discover ? { "${cluster}/tick" = { cluster = cluster, role = aws_iam_role.function["tick"].arn } } : {},
  )]...)
}

resource "aws_eks_access_entry" "reader" {
  for_each      = local.readers
  cluster_name  = each.value.cluster
  principal_arn = each.value.role
  type          = "STANDARD"
  # Group of the ClusterRole `seawall-discovery`, for roles and bindings, which the view policy leaves out.
  kubernetes_groups = ["seawall-discovery"]
  tags              = local.tags
}

resource "aws_eks_access_policy_association" "reader" {
  for_each      = local.readers
  cluster_name  = aws_eks_access_entry.reader[each.key].cluster_name
  principal_arn = each.value.role
  # View leaves secrets out.
  policy_arn = "arn:${data.aws_partition.this.partition}:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
  access_scope {
    type = "cluster"
  }
}

resource "aws_scheduler_schedule" "tick" {
  for_each            = { publish = "rate(1 minute)", rescan = "rate(1 hour)", advisories = "rate(6 hours)", reconcile = "rate(1 hour)", discover = "rate(1 hour)" }
  name                = "${local.prefix}${each.key}"
  schedule_expression = each.value
  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = aws_lambda_function.this["tick"].arn
    role_arn = aws_iam_role.scheduler.arn
    input    = jsonencode({ timer = each.key })
    retry_policy {
      maximum_retry_attempts       = 2
      maximum_event_age_in_seconds = 600
    }
  }
}

resource "aws_lambda_function_url" "api" {
  function_name      = aws_lambda_function.this["api"].function_name
  authorization_type = "NONE" # the application asks for its own token, certificate or signature
  invoke_mode        = "BUFFERED"
}

resource "aws_lambda_permission" "url" {
  statement_id           = "function-url"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = aws_lambda_function.this["api"].function_name
  principal              = "*"
  function_url_auth_type = "NONE"
}

# URLs made since October 2025 ask for lambda:InvokeFunction, too; the condition keeps everybody from invoking otherwise than by URL.
# The provider can say it since 6.29 (`invoked_via_function_url`), CloudFormation whatever the provider's version.
resource "aws_cloudformation_stack" "url" {
  name = "${local.prefix}function-url"
  tags = local.tags
  template_body = jsonencode({ Resources = { Invoke = {
    Type       = "AWS::Lambda::Permission"
    Properties = { FunctionName = aws_lambda_function.this["api"].function_name, Action = "lambda:InvokeFunction", Principal = "*", InvokedViaFunctionUrl = true }
  } } })
}
