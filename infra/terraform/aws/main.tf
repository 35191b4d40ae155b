data "aws_caller_identity" "this" {}
data "aws_region" "this" {}
data "aws_partition" "this" {}

locals {
  account = data.aws_caller_identity.this.account_id
  region  = data.aws_region.this.name
  tags    = merge(var.tags, { "seawall" = var.name })
  prefix  = "${var.name}-"

  # Kind of job: seconds its function may take. Names are those of seawall.adapters.job_queues.
  queues      = { images = 600, audit = 120, sensor = 120, posture = 300, "correlate.fifo" = 120, pushes = 60 }
  alarm_topic = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
}

resource "aws_kms_key" "data" {
  description             = "Seawall: queues, streams, bodies, secrets"
  enable_key_rotation     = true
  deletion_window_in_days = 14
  policy                  = data.aws_iam_policy_document.data_key.json
  tags                    = local.tags
}

data "aws_iam_policy_document" "data_key" {
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.this.partition}:iam::${local.account}:root"]
    }
  }
  statement {
    # EventBridge writes encrypted messages.
    sid       = "Events"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
  dynamic "statement" {
    # Sensors put encrypted records, also from other accounts, whose own policies do not know this key.
    for_each = length(var.sensor_role_arns) == 0 ? [] : [1]
    content {
      sid       = "Sensors"
      actions   = ["kms:GenerateDataKey"]
      resources = ["*"]
      principals {
        type        = "AWS"
        identifiers = var.sensor_role_arns
      }
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["kinesis.${local.region}.amazonaws.com"]
      }
    }
  }
  statement {
    # CloudWatch Logs encrypts the functions' logs; it names the log group in the encryption context.
    sid       = "Logs"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["logs.${local.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${data.aws_partition.this.partition}:logs:${local.region}:${local.account}:log-group:/aws/lambda/${local.prefix}*"]
    }
  }
}

resource "aws_kms_key" "signing" {
  for_each                 = { findings = "signs findings", sensors = "authority of sensors' client certificates" }
  description              = "Seawall: ${each.value}"
  key_usage                = "SIGN_VERIFY"
  customer_master_key_spec = "ECC_NIST_P256"
  deletion_window_in_days  = 14
  tags                     = local.tags
}

resource "aws_kms_alias" "signing" {
  for_each      = aws_kms_key.signing
  name          = "alias/${var.name}-${each.key}"
  target_key_id = each.value.key_id
}

resource "aws_s3_bucket" "data" {
  bucket_prefix = local.prefix
  tags          = local.tags
}

resource "aws_s3_bucket_public_access_block" "data" {
  bucket                  = aws_s3_bucket.data.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "data" {
  bucket = aws_s3_bucket.data.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "data" {
  bucket = aws_s3_bucket.data.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.data.arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "data" {
  bucket = aws_s3_bucket.data.id
  rule {
    id     = "bodies"
    status = "Enabled"
    filter {
      prefix = "jobs/"
    }
    expiration {
      days = 14
    }
  }
  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = 7
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }
}

resource "aws_s3_bucket_policy" "data" {
  bucket = aws_s3_bucket.data.id
  policy = data.aws_iam_policy_document.bucket.json
}

data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.data.arn, "${aws_s3_bucket.data.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue" "dead" {
  for_each                  = local.queues
  name                      = "${local.prefix}${trimsuffix(each.key, ".fifo")}-dead${endswith(each.key, ".fifo") ? ".fifo" : ""}"
  fifo_queue                = endswith(each.key, ".fifo")
  message_retention_seconds = 1209600
  kms_master_key_id         = aws_kms_key.data.arn
  tags                      = local.tags
}

resource "aws_sqs_queue" "jobs" {
  for_each   = local.queues
  name       = "${local.prefix}${each.key}"
  fifo_queue = endswith(each.key, ".fifo")
  # Six times the function's time-out, so that a slow run is not given out twice (AWS, "Using Lambda with SQS").
  visibility_timeout_seconds = each.value * 6
  message_retention_seconds  = 345600
  kms_master_key_id          = aws_kms_key.data.arn
  redrive_policy             = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead[each.key].arn, maxReceiveCount = 8 })
  tags                       = local.tags
}

resource "aws_cloudwatch_metric_alarm" "dead" {
  for_each            = local.queues
  alarm_name          = aws_sqs_queue.dead[each.key].name
  alarm_description   = "Messages were given up: see the poison table and the function's log, then redrive."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead[each.key].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_topic
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "age" {
  for_each            = local.queues
  alarm_name          = "${aws_sqs_queue.jobs[each.key].name}-age"
  alarm_description   = "The oldest message waits for more than half an hour."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.jobs[each.key].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 2
  threshold           = 1800
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_topic
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "behind" {
  for_each            = local.streams
  alarm_name          = "${local.prefix}${each.key}-behind"
  alarm_description   = "The function is more than ten minutes behind its stream: raise shards or look into its log."
  namespace           = "AWS/Lambda"
  metric_name         = "IteratorAge"
  dimensions          = { FunctionName = aws_lambda_function.this[each.key].function_name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 2
  threshold           = 600000
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_topic
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each            = local.functions
  alarm_name          = "${local.prefix}${each.key}-errors"
  alarm_description   = "More than 20 failed runs in 15 minutes: see the function's log."
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = aws_lambda_function.this[each.key].function_name }
  statistic           = "Sum"
  period              = 900
  evaluation_periods  = 1
  threshold           = 20
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_topic
  tags                = local.tags
}

# Pushes to ECR: EventBridge puts them into the queue.
resource "aws_cloudwatch_event_rule" "pushes" {
  name        = "${local.prefix}pushes"
  description = "Images pushed to ECR"
  event_pattern = jsonencode({
    source      = ["aws.ecr"]
    detail-type = ["ECR Image Action"]
    detail      = { action-type = ["PUSH"], result = ["SUCCESS"] }
  })
  tags = local.tags
}

resource "aws_cloudwatch_event_target" "pushes" {
  rule = aws_cloudwatch_event_rule.pushes.name
  arn  = aws_sqs_queue.jobs["pushes"].arn
}

resource "aws_sqs_queue_policy" "pushes" {
  queue_url = aws_sqs_queue.jobs["pushes"].id
  policy    = data.aws_iam_policy_document.pushes.json
}

data "aws_iam_policy_document" "pushes" {
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.jobs["pushes"].arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.pushes.arn]
    }
  }
}

resource "aws_kinesis_stream" "this" {
  for_each         = merge({ sensor = var.sensor_shards }, var.audit_transport == "stream" ? { audit = 0 } : {})
  name             = "${local.prefix}${each.key}"
  shard_count      = each.value == 0 ? null : each.value
  retention_period = 48
  encryption_type  = "KMS"
  kms_key_id       = aws_kms_key.data.arn
  tags             = local.tags
  stream_mode_details {
    stream_mode = each.value == 0 ? "ON_DEMAND" : "PROVISIONED"
  }
}

resource "aws_secretsmanager_secret" "this" {
  for_each                = { api-token = "Bearer token of API and console", webhook-secret = "Shared secret of webhooks" }
  name_prefix             = "${local.prefix}${each.key}-"
  description             = each.value
  kms_key_id              = aws_kms_key.data.arn
  recovery_window_in_days = 7
  tags                    = local.tags
}

resource "aws_secretsmanager_secret_version" "this" {
  for_each      = aws_secretsmanager_secret.this
  secret_id     = each.value.id
  secret_string = each.key == "api-token" ? var.api_token : var.webhook_secret
}
