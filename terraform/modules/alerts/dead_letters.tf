resource "aws_sqs_queue" "dead_letters" {
  name                      = var.dead_letters
  message_retention_seconds = 1209600 # 14 days, the longest
  # Not the project's key: what failed because of the key must still be kept.
  sqs_managed_sse_enabled = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "KeepUndeliveredEvents"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = var.dead_letters_arn
        Condition = { ArnEquals = { "aws:SourceArn" = concat([var.alarms_rule_arn, var.unfinished_rule_arn, var.unsettled_rule_arn], var.schedule_arns) } }
      },
      {
        # A denial must cover every action and principal to mean anything.
        Sid       = "DenyWithoutTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = var.dead_letters_arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

# Events invoke send_alert asynchronously; after its retries the alert is kept here.
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
