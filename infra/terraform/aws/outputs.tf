output "api_url" {
  description = "Console, API, webhooks and sensors' door."
  value       = aws_lambda_function_url.api.function_url
}

output "tick_role_arn" {
  description = "Role that publishes: subject of the federated credential on the hub's identity in Azure."
  value       = aws_iam_role.function["tick"].arn
}

output "reader_role_arn" {
  description = "Role with read-only access entries on the clusters."
  value       = aws_iam_role.reader.arn
}

output "sensor_stream" {
  description = "Kinesis stream that sensors put batches into."
  value       = aws_kinesis_stream.this["sensor"].name
}

output "queues" {
  description = "URLs of the job queues."
  value       = { for name, queue in aws_sqs_queue.jobs : name => queue.url }
}

output "dead_letter_queues" {
  description = "URLs of the dead-letter queues, to look into and redrive."
  value       = { for name, queue in aws_sqs_queue.dead : name => queue.url }
}

output "bucket" {
  description = "Bucket of bodies, layer caches and the advisory file."
  value       = aws_s3_bucket.data.id
}

output "store_host" {
  description = "Host of the RDS instance; empty with an external store."
  value       = try(aws_db_instance.store[0].address, "")
}
