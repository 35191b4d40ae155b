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

run "short_token" {
  command = plan
  variables {
    api_token = "short"
  }
  expect_failures = [var.api_token]
}

run "wrong_transport" {
  command = plan
  variables {
    audit_transport = "pigeon"
  }
  expect_failures = [var.audit_transport]
}
