# No state can catch that its own execution timed out or was aborted.
resource "aws_cloudwatch_event_rule" "unfinished" {
  name        = var.unfinished_rule
  description = "Alerts for executions that timed out or were aborted"

  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      status          = ["ABORTED", "TIMED_OUT"]
      stateMachineArn = var.state_machine_arns
    }
  })
}

resource "aws_cloudwatch_event_target" "send_alert" {
  rule      = aws_cloudwatch_event_rule.unfinished.name
  target_id = "send-alert"
  arn       = var.send_alert.arn

  retry_policy {
    maximum_event_age_in_seconds = 3600 # an alert that is older wakes nobody; the queue keeps it
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }

  depends_on = [aws_lambda_permission.unfinished]
}

resource "aws_lambda_permission" "unfinished" {
  statement_id  = "LetUnfinishedRuleInvoke"
  action        = "lambda:InvokeFunction"
  function_name = var.send_alert.name
  qualifier     = var.send_alert.alias
  principal     = "events.amazonaws.com"
  source_arn    = var.unfinished_rule_arn
}
