# Events that are alerts by themselves: no state machine could report them.
locals {
  events = {
    # An alarm reads like an alert, and so does its end. Alarms on the alert path itself go off through the alarms
    # topic; their end can take the alert path, which works again by then.
    alarms = {
      description = "Alerts for alarms and for their end"
      statement   = "LetAlarmsRuleInvoke"

      pattern = jsonencode({
        source      = ["aws.cloudwatch"]
        detail-type = ["CloudWatch Alarm State Change"]
        resources   = [{ prefix = trimsuffix(var.alarms_arn_pattern, "*") }]
        detail = {
          "$or" = [
            { state = { value = ["ALARM"] }, alarmName = [{ anything-but = keys(var.alert_path_alarm_arns) }] },
            { state = { value = ["OK"] }, previousState = { value = ["ALARM"] } },
          ]
        }
      })
    }

    # The reconciling machine may fail, too. That event goes straight to the function, which cannot start it again.
    unsettled = {
      description = "Alerts for executions that could not be settled"
      statement   = "LetUnsettledRuleInvoke"

      pattern = jsonencode({
        source      = ["aws.states"]
        detail-type = ["Step Functions Execution Status Change"]
        detail = {
          status          = ["ABORTED", "FAILED", "TIMED_OUT"]
          stateMachineArn = [var.reconciler_arn]
        }
      })
    }
  }
}

resource "aws_cloudwatch_event_rule" "alert" {
  for_each = local.events

  name          = var.rules[each.key].name
  description   = each.value.description
  event_pattern = each.value.pattern
}

resource "aws_cloudwatch_event_target" "send_alert" {
  for_each = local.events

  rule      = aws_cloudwatch_event_rule.alert[each.key].name
  target_id = "send-alert"
  arn       = var.send_alert.arn

  retry_policy {
    maximum_event_age_in_seconds = 3600 # an alert that is older wakes nobody; the queue keeps it
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }

  depends_on = [aws_lambda_permission.event]
}

resource "aws_lambda_permission" "event" {
  for_each = local.events

  statement_id  = each.value.statement
  action        = "lambda:InvokeFunction"
  function_name = var.send_alert.name
  qualifier     = var.send_alert.alias
  principal     = "events.amazonaws.com"
  source_arn    = var.rules[each.key].arn
}
