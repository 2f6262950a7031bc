resource "aws_sqs_queue" "dead_letters" {
  name                      = var.dead_letters.name
  message_retention_seconds = 1209600 # 14 days, the longest
  # Not the project's key: an alert that failed because of that key must still be kept.
  sqs_managed_sse_enabled = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "KeepUndeliveredEvents"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = var.dead_letters.arn
        Condition = {
          ArnEquals = { "aws:SourceArn" = concat([for rule in var.rules : rule.arn], var.schedule_arns) }
        }
      },
      {
        # A denial must cover every action and principal to be of use.
        Sid       = "DenyWithoutTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = var.dead_letters.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

# Events invoke send_alert asynchronously. After Lambda's retries the alert is kept here.
resource "aws_lambda_function_event_invoke_config" "send_alert" {
  function_name                = var.send_alert.name
  qualifier                    = var.send_alert.alias
  maximum_event_age_in_seconds = 3600
  maximum_retry_attempts       = 2

  destination_config {
    on_failure {
      destination = aws_sqs_queue.dead_letters.arn
    }
  }
}
