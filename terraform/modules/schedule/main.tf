resource "aws_cloudwatch_event_rule" "this" {
  name                = var.rule.name
  description         = var.description
  schedule_expression = var.hours == 1 ? "rate(1 hour)" : "rate(${var.hours} hours)"
  state               = var.enabled ? "ENABLED" : "DISABLED"
}

resource "aws_cloudwatch_event_target" "function" {
  rule      = aws_cloudwatch_event_rule.this.name
  target_id = "function"
  arn       = var.function.arn

  input_transformer {
    input_paths    = { time = "$.time" }
    input_template = var.input
  }

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = var.dead_letters_arn
  }

  depends_on = [aws_lambda_permission.this]
}

resource "aws_lambda_permission" "this" {
  statement_id  = "LetScheduleInvoke"
  action        = "lambda:InvokeFunction"
  function_name = var.function.name
  qualifier     = var.function.alias
  principal     = "events.amazonaws.com"
  source_arn    = var.rule.arn
}

# A schedule calls asynchronously. After Lambda's retries the call is kept; for send_alert modules/alerts does the same.
resource "aws_lambda_function_event_invoke_config" "this" {
  for_each = var.keep_failed ? toset(["failed"]) : toset([])

  function_name                = var.function.name
  qualifier                    = var.function.alias
  maximum_event_age_in_seconds = 3600
  maximum_retry_attempts       = 2

  destination_config {
    on_failure {
      destination = var.dead_letters_arn
    }
  }
}
