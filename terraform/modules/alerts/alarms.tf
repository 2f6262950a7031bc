# Alarms read like alerts: this rule hands them to send_alert. It leaves out those on the alert path itself, and
# changes that nobody waits for: an alarm that is over is told to whoever was told of it.
resource "aws_cloudwatch_event_rule" "alarms" {
  name        = var.alarms_rule
  description = "Alerts for alarms and for their end"

  event_pattern = jsonencode({
    source      = ["aws.cloudwatch"]
    detail-type = ["CloudWatch Alarm State Change"]
    resources   = var.alarm_arns
    detail = {
      "$or" = [
        { state = { value = ["ALARM"] } },
        { state = { value = ["OK"] }, previousState = { value = ["ALARM"] } },
      ]
    }
  })
}

resource "aws_cloudwatch_event_target" "alarms" {
  rule      = aws_cloudwatch_event_rule.alarms.name
  target_id = "send-alert"
  arn       = var.send_alert.arn

  retry_policy {
    maximum_event_age_in_seconds = 3600 # an alert that is older wakes nobody; the queue keeps it
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }

  depends_on = [aws_lambda_permission.alarms]
}

resource "aws_lambda_permission" "alarms" {
  statement_id  = "LetAlarmsRuleInvoke"
  action        = "lambda:InvokeFunction"
  function_name = var.send_alert.name
  qualifier     = var.send_alert.alias
  principal     = "events.amazonaws.com"
  source_arn    = var.alarms_rule_arn
}
