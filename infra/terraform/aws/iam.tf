data "aws_iam_policy_document" "assumed_by" {
  for_each = { lambda = "lambda.amazonaws.com", logs = "logs.${local.region}.amazonaws.com", scheduler = "scheduler.amazonaws.com" }
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = [each.value]
    }
    dynamic "condition" {
      for_each = each.key == "lambda" ? [] : [1]
      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [local.account]
      }
    }
  }
}

data "aws_iam_policy_document" "account" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.this.partition}:iam::${local.account}:root"]
    }
  }
}

# What discovery reads, with the reading that needs it. These actions know no narrower resource, or list what is not known yet.
resource "aws_iam_role_policy" "reader" {
  role   = aws_iam_role.reader.id
  name   = "read"
  policy = jsonencode({ Version = "2012-10-17", Statement = [local.discovery] })
}

locals {
  discovery = { Sid = "Discovery", Effect = "Allow", Action = keys(jsondecode(file("${path.module}/../../discovery.json")).aws), Resource = "*" }
}

resource "aws_iam_role_policy" "discovery" {
  count  = var.discover ? 1 : 0
  role   = aws_iam_role.function["tick"].id
  name   = "discovery"
  policy = jsonencode({ Version = "2012-10-17", Statement = [local.discovery] })
}

resource "aws_iam_role" "function" {
  for_each           = local.functions
  name               = "${local.prefix}${each.key}"
  assume_role_policy = data.aws_iam_policy_document.assumed_by["lambda"].json
  tags               = local.tags
}

data "aws_iam_policy_document" "function" {
  for_each = local.functions

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.function[each.key].arn}:*"]
  }
  statement {
    sid       = "Traces" # these actions know no resources
    actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    resources = ["*"]
  }
  statement {
    sid       = "Bodies"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/*"]
  }
  statement {
    sid       = "BodyIsThere" # a missing object is then 404 and not 403
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.data.arn]
  }
  statement {
    sid       = "Encryption"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.data.arn]
  }
  statement {
    sid       = "Send"
    actions   = ["sqs:SendMessage"]
    resources = concat([for name in each.value.sends : aws_sqs_queue.jobs[name].arn], [for name in lookup({ audit-logs = ["audit"], sensor-stream = ["sensor"], tick = ["posture"] }, each.key, []) : aws_sqs_queue.dead[name].arn])
  }
  dynamic "statement" {
    for_each = each.value.takes == "" ? [] : [each.value.takes]
    content {
      sid       = "Take"
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
      resources = [aws_sqs_queue.jobs[statement.value].arn]
    }
  }
  dynamic "statement" {
    for_each = contains(keys(local.streams), each.key) ? [local.streams[each.key]] : []
    content {
      sid       = "Stream"
      actions   = ["kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:ListShards"]
      resources = [aws_kinesis_stream.this[statement.value].arn]
    }
  }
  dynamic "statement" {
    for_each = var.store_url == null ? [1] : []
    content {
      sid       = "Store"
      actions   = ["rds-db:connect"]
      resources = ["arn:${data.aws_partition.this.partition}:rds-db:${local.region}:${local.account}:dbuser:${aws_db_instance.store[0].resource_id}/seawall"]
    }
  }
  dynamic "statement" {
    for_each = var.network == null ? [] : [1]
    content {
      sid       = "Network" # Lambda asks for these on any resource
      actions   = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
      resources = ["*"]
    }
  }
  dynamic "statement" {
    for_each = contains(["scan-image", "tick"], each.key) ? [1] : []
    content {
      sid       = "RegistryToken" # knows no resources
      actions   = ["ecr:GetAuthorizationToken"]
      resources = ["*"]
    }
  }
  dynamic "statement" {
    for_each = contains(["scan-image", "tick"], each.key) ? [1] : []
    content {
      sid = "Registry"
      actions = concat(
        ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:ListImages"],
        var.attach_attestations ? ["ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"] : [],
      )
      resources = var.repository_arns
    }
  }
  dynamic "statement" {
    for_each = { for function, key in { scan-image = "findings", tick = "findings", api = "sensors" } : key => function if function == each.key }
    content {
      sid       = "Sign"
      actions   = ["kms:Sign", "kms:GetPublicKey"]
      resources = [aws_kms_key.signing[statement.key].arn]
    }
  }
  dynamic "statement" {
    for_each = contains(["sensor-stream", "sensor-again"], each.key) ? [1] : []
    content {
      sid       = "SensorAuthority"
      actions   = ["kms:GetPublicKey"]
      resources = [aws_kms_key.signing["sensors"].arn]
    }
  }
  dynamic "statement" {
    for_each = each.key == "tick" && var.hub != null ? [1] : []
    content {
      sid       = "AzureToken" # token for the federated credential of the hub; the audience is pinned
      actions   = ["sts:GetWebIdentityToken"]
      resources = ["*"]
      condition {
        test     = "ForAllValues:StringEquals"
        variable = "sts:IdentityTokenAudience"
        values   = ["api://AzureADTokenExchange"]
      }
    }
  }
  dynamic "statement" {
    for_each = each.key == "tick" && var.security_hub ? [1] : []
    content {
      sid       = "SecurityHub"
      actions   = ["securityhub:BatchImportFindings"]
      resources = ["arn:${data.aws_partition.this.partition}:securityhub:${local.region}:${local.account}:product/${local.account}/default"]
    }
  }
}

resource "aws_iam_role_policy" "function" {
  for_each = local.functions
  role     = aws_iam_role.function[each.key].id
  name     = "function"
  policy   = data.aws_iam_policy_document.function[each.key].json
}

resource "aws_iam_role" "scheduler" {
  name               = "${local.prefix}scheduler"
  assume_role_policy = data.aws_iam_policy_document.assumed_by["scheduler"].json
  tags               = local.tags
}

resource "aws_iam_role_policy" "scheduler" {
  role   = aws_iam_role.scheduler.id
  name   = "invoke"
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "lambda:InvokeFunction", Resource = aws_lambda_function.this["tick"].arn }] })
}

resource "aws_kinesis_resource_policy" "sensors" {
  count        = length(var.sensor_role_arns) == 0 ? 0 : 1
  resource_arn = aws_kinesis_stream.this["sensor"].arn
  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Sid      = "Sensors", Effect = "Allow", Principal = { AWS = var.sensor_role_arns },
    Action   = ["kinesis:PutRecord", "kinesis:PutRecords", "kinesis:DescribeStreamSummary"],
    Resource = aws_kinesis_stream.this["sensor"].arn
  }] })
}
