# Alarms read like alerts: this rule hands them to send_alert, and their end. Alarms on the alert path itself go off by
# the alarms topic; that one of them is over can be told by the path that works again.
resource "aws_cloudwatch_event_rule" "alarms" {
  name        = var.alarms_rule
  description = "Alerts for alarms and for their end"

  event_pattern = jsonencode({
    source      = ["aws.cloudwatch"]
    detail-type = ["CloudWatch Alarm State Change"]
    resources   = [{ prefix = trimsuffix(var.alarms_arn_pattern, "*") }]
    detail = {
      "$or" = [
        { state = { value = ["ALARM"] }, alarmName = [{ anything-but = var.alert_path_alarms }] },
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
