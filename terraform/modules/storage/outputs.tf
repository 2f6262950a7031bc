output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.bucket
}

output "ledger" {
  description = "Name of the ledger table."
  value       = aws_dynamodb_table.ledger.name
}
